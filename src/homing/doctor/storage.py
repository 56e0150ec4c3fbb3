"""Checks of the file system of the results folder: free space, clock, renames, links and locks."""

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

SPARE = 1.1  # times the needed space must be free
RENAMES = 300
WARN_SKEW_SECONDS, FAIL_SKEW_SECONDS = 2.0, 60.0
MIN_FREE_FILES = 10_000


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def storage(results: Path, need_gb: float | None) -> list[Check]:
    """Return all checks of the results folder; `need_gb` is the peak disk use of a run, if known."""
    try:
        with scratch(nearest_existing(results)) as folder:
            return [free_space(folder, need_gb), quota(folder, need_gb), clock(folder), renames(folder), links(folder),
                    locks(folder)]  # fmt: skip
    except OSError as error:
        fix = f"chown or chmod it, or link results to a disk of yours: ln -s /scratch/$USER/results {results}"
        return [fail("results folder", f"{nearest_existing(results)}: cannot be written ({error.strerror})", fix)]


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder for the trials."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".homing-doctor-") as name:
        yield Path(name)


def free_space(folder: Path, need_gb: float | None) -> Check:
    """Check that enough bytes and files are free."""
    status = os.statvfs(folder)
    free_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{free_gb:,.1f} GB free" + ("" if need_gb is None else f", {need_gb:,.1f} GB needed")
    if need_gb is not None and need_gb * SPARE > free_gb:
        return fail("disk", found, "free space, or: mv results /scratch/$USER/ && ln -s /scratch/$USER/results results")
    if status.f_files > 0 and status.f_favail < MIN_FREE_FILES:
        return fail("disk", f"{found}, but only {status.f_favail} more files", "remove files, or move results")
    return ok("disk", found)


def quota(folder: Path, need_gb: float | None) -> Check:
    """Check the user's quota on that file system, if the program `quota` knows one."""
    report = ask("quota", "-w")
    device = ask("df", "--output=source", str(folder))
    if report is None or device is None or not device.good:
        lustre = ", or run: lfs quota -hu $USER ." if shutil.which("lfs") else ""
        return ok("quota", f"not known, there is no program quota here; ask your site{lustre}")
    source = device.text.splitlines()[-1]
    rows = [line.split() for line in report.output.splitlines()]  # its exit status is 1 if a quota is used up
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
    """Compare the clock of this machine with file times of the file system: Snakemake compares such times."""
    before = time.time()
    path = folder / "clock"
    path.write_bytes(b"now")
    skew = path.stat().st_mtime - (before + time.time()) / 2
    found = f"the file system is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > FAIL_SKEW_SECONDS:
        return fail("clock", found, set_clock())
    if abs(skew) > WARN_SKEW_SECONDS:
        return warn("clock", found, f"{set_clock()}; until then latency-wait: 60 in the profile")
    return ok("clock", "agrees with the file system")


def set_clock() -> str:
    """Return the command that synchronises the clock, with the programs of this machine."""
    if shutil.which("timedatectl") and shutil.which("sudo"):
        return "sudo timedatectl set-ntp true (or ask your site)"
    return "ask your site to synchronise the clocks of this machine and of its file server"


def renames(folder: Path) -> Check:
    """Check that renaming a file over another is atomic: a reader always sees the whole old or new file."""
    target, done = folder / "target", threading.Event()
    seen: list[str] = []
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
        fix = "keep results on a POSIX file system (local disk, NFS, Lustre, GPFS), not on an object store"
        return fail("rename", f"not atomic: a reader saw the file {seen[0]}", fix)
    return ok("rename", "atomic")


def links(folder: Path) -> Check:
    """Check symbolic links (to files of a mirror) and hard links (without them, an import copies its shards)."""
    (folder / "file").write_bytes(b"content")
    try:
        (folder / "symbolic").symlink_to(folder / "file")
    except OSError as error:
        return fail("links", f"symbolic links are refused ({error.strerror})", "link_mirror: false")
    try:
        (folder / "hard").hardlink_to(folder / "file")
    except OSError as error:
        fix = "keep twice the size of the shards free, or keep results on another file system"
        return warn("links", f"hard links are refused ({error.strerror}): an import copies its shards", fix)
    return ok("links", "hard and symbolic")


def locks(folder: Path) -> Check:
    """Check that a lock held by one process is refused to another."""
    path = folder / "lock"
    fix = "mount it with locks (Lustre: -o flock; NFS: local_lock=none), or keep HF_HOME and .snakemake on another disk"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return warn("locks", f"flock is refused ({error.strerror})", fix)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            refused = pool.apply(is_locked, (str(path),))
    return ok("locks", "respected between processes") if refused else warn("locks", "two processes held one lock", fix)


def is_locked(path: str) -> bool:
    """Return True if another process holds a lock on the file."""
    with Path(path).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
