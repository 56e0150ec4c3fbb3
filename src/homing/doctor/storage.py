"""The file system of the results folder: room, clock, renames, links and locks."""

import fcntl
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homing.doctor.checks import Check, ask, fail, ok, warn

SPARE = 1.1  # of the room that is needed
RENAMES = 300
SKEW_SECONDS, WRONG_SECONDS = 2.0, 60.0
FREE_FILES = 10_000


def standing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def storage(results: Path, need_gb: float | None) -> list[Check]:
    """All checks of the results folder; `need_gb`: what a run writes at most, where it is known."""
    try:
        with scratch(standing(results)) as folder:
            return [room(folder, need_gb), quota(folder, need_gb), clock(folder), renames(folder), links(folder),
                    locks(folder)]  # fmt: skip
    except OSError as error:
        cure = f"chown or chmod it, or link results to a disk of yours: ln -s /scratch/$USER/results {results}"
        return [fail("results folder", f"{standing(results)}: cannot be written ({error.strerror})", cure)]


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for trials, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".homing-doctor-") as name:
        yield Path(name)


def room(folder: Path, need_gb: float | None) -> Check:
    """Free bytes and files against what is needed."""
    status = os.statvfs(folder)
    free_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{free_gb:,.1f} GB free" + ("" if need_gb is None else f", {need_gb:,.1f} GB needed")
    if need_gb is not None and need_gb * SPARE > free_gb:
        return fail("disk", found, "make room, or: mv results /scratch/$USER/ && ln -s /scratch/$USER/results results")
    if status.f_files > 0 and status.f_favail < FREE_FILES:
        return fail("disk", f"{found}, but only {status.f_favail} more files", "remove files, or move results")
    return ok("disk", found)


def quota(folder: Path, need_gb: float | None) -> Check:
    """The user's quota on that file system, where `quota` tells one."""
    told = ask("quota", "-w")
    device = ask("df", "--output=source", str(folder))
    if told is None or device is None or not device.good:
        return ok("quota", "no quota program here; ask your site, or `lfs quota -hu $USER .` on Lustre")
    source = device.text.splitlines()[-1]
    rows = [line.split() for line in told.output.splitlines()]  # its status tells of a quota that is used up
    own = next((row for row in rows if row and row[0] == source), None)
    if own is None or len(own) < 4:
        return ok("quota", f"none on {source}")
    used, soft, hard = (int(cell.rstrip("*")) * 1024 / 1e9 for cell in own[1:4])
    left = (hard or soft) - used
    found = f"{left:,.1f} GB left of {hard or soft:,.1f} GB on {source}"
    if (hard or soft) and need_gb is not None and need_gb * SPARE > left:
        return fail("quota", f"{found}, {need_gb:,.1f} GB needed", "ask for more, or link results to a larger disk")
    return ok("quota", found if hard or soft else f"none on {source}")


def clock(folder: Path) -> Check:
    """This machine's clock against the time the file system writes: Snakemake compares such times."""
    before = time.time()
    path = folder / "clock"
    path.write_bytes(b"now")
    skew = path.stat().st_mtime - (before + time.time()) / 2
    found = f"the file system is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > WRONG_SECONDS:
        return fail("clock", found, "sudo timedatectl set-ntp true (or ask your site)")
    if abs(skew) > SKEW_SECONDS:
        return warn("clock", found, "sudo timedatectl set-ntp true; until then latency-wait: 60 in the profile")
    return ok("clock", "agrees with the file system")


def renames(folder: Path) -> Check:
    """A file that is renamed over another is seen whole, old or new, by a reader at all times."""
    target, seen, done = folder / "target", [], threading.Event()
    target.write_text("0" * 4096)

    def look() -> None:
        while not done.is_set():
            try:
                text = target.read_text()
            except OSError as error:
                seen.append(f"missing ({error.strerror})")
            else:
                seen.extend([f"{len(text)} of 4096 bytes"] * (len(text) != 4096))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(RENAMES):
            partial = folder / "partial"
            partial.write_text(f"{number % 10}" * 4096)
            partial.replace(target)
    finally:
        done.set()
        reader.join()
    if seen:
        cure = "keep results on a POSIX file system (local disk, NFS, Lustre, GPFS), not on an object store"
        return fail("rename", f"not atomic: a reader saw the file {seen[0]}", cure)
    return ok("rename", "atomic")


def links(folder: Path) -> Check:
    """Symbolic links (a mirror is linked to) and hard ones (else an import copies its shards)."""
    (folder / "file").write_bytes(b"content")
    try:
        (folder / "symbolic").symlink_to(folder / "file")
    except OSError as error:
        return fail("links", f"symbolic ones are refused ({error.strerror})", "link_mirror: false")
    try:
        (folder / "hard").hardlink_to(folder / "file")
    except OSError as error:
        cure = "keep twice the room of the shards free, or results on another file system"
        return warn("links", f"hard ones are refused ({error.strerror}): an import copies its shards", cure)
    return ok("links", "hard and symbolic")


def locks(folder: Path) -> Check:
    """A lock that one process holds is refused to another."""
    path = folder / "lock"
    cure = (
        "mount it with locks (Lustre: -o flock; NFS: local_lock=none), or keep HF_HOME and .snakemake on another disk"
    )
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return warn("locks", f"flock is refused ({error.strerror})", cure)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            refused = pool.apply(is_locked, (str(path),))
    return ok("locks", "kept between processes") if refused else warn("locks", "two processes held one lock", cure)


def is_locked(path: str) -> bool:
    """Whether another process holds the file."""
    with Path(path).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
