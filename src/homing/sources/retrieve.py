"""Retrieve one raw file: from the toy planet, the mirror, a path or the web; verified, then renamed."""

import csv
import logging
import shutil
import sqlite3
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from homing.errors import HomingError
from homing.files import atomic_path, sha256, write_json
from homing.sources import lock
from homing.sources.download import Patience, discard, download
from homing.sources.hosts import request_for
from homing.sources.table import RECORD, Row, exact_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terms:
    """What the user configured: where to look first, what was accepted, where first digests are kept."""

    mirror: str | None = None
    link_mirror: bool = True
    accept_licences: Sequence[str] = ()
    lock: str | Path = "config/sources.lock.csv"
    repository: Path = Path()  # what `file:` addresses are relative to
    patience: Patience = field(default_factory=Patience)


def retrieve(
    row: Row, output: str | Path, manifest: str | Path, terms: Terms, generated: str | Path | None = None
) -> None:
    """Bring the file of a row of config/sources.csv to `output` and describe it in `manifest`.

    `generated` is the toy planet's file, for rows that are made here. Raises HomingError when the licence is not
    accepted, the file is nowhere, or its size or sha256 is not the expected one; then nothing is visible at `output`.
    """
    check_licence(row, terms.accept_licences)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    known = row["sha256"].replace(RECORD, "") or lock.locked_sum(terms.lock, row)
    if generated:
        root = _folder_with(Path(generated), "SHA256SUMS")
        digest = _take(Path(generated), row, output, _listed_sum(root, Path(generated).relative_to(root)), link=False)
    elif found := in_mirror(row, terms.mirror):
        known = known or _listed_sum(Path(terms.mirror), found.relative_to(terms.mirror))
        digest = _take(found, row, output, known, terms.link_mirror)
    elif row["url"].startswith("file:"):
        digest = _take(terms.repository / row["url"].removeprefix("file:"), row, output, known, link=False)
    elif row["url"].startswith("mirror:"):
        raise HomingError(
            f"{row['file']}: no program can fetch it; put it as {row['url'].removeprefix('mirror:')} into the mirror "
            f"folder (key mirror{f', now {terms.mirror}' if terms.mirror else ''}); see docs/data.md"
        )
    else:
        digest = _fetch(row, output, known, terms.patience)
    if row["sha256"] == RECORD and not generated:
        lock.record(terms.lock, row, output.stat().st_size, digest)
    content = {name: row[name] for name in ("dataset", "version", "file", "url", "licence", "redistribute")}
    write_json(manifest, content | {"bytes": output.stat().st_size, "sha256": digest})
    log.info("%s: %.1f MB, sha256 %s", row["file"], output.stat().st_size / 1e6, digest[:12])


def check_licence(row: Row, accepted: Sequence[str]) -> None:
    """Raise HomingError with the licence's name and the key to set, when it must be accepted and is not."""
    if row["needs_acceptance"] == "yes" and row["dataset"] not in accepted:
        raise HomingError(
            f"{row['dataset']}: its licence ({row['licence']}) must be accepted: read it, "
            f"then add {row['dataset']!r} to the key accept_licences"
        )


def in_mirror(row: Row, mirror: str | None) -> Path | None:
    """The file in the mirror folder, under <dataset>/<version>/, under its stated place, or at the top."""
    if not mirror:
        return None
    root = Path(mirror)
    if not root.is_dir():
        raise HomingError(f"mirror: {mirror} is not a folder")
    stated = row["url"].removeprefix("mirror:") if row["url"].startswith("mirror:") else row["file"]
    candidates = [root / row["dataset"] / row["version"] / row["file"], root / stated, root / row["file"]]
    return next((path for path in candidates if path.is_file()), None)


def _folder_with(path: Path, name: str) -> Path:
    for folder in path.parents:
        if (folder / name).is_file():
            return folder
    raise HomingError(f"{path}: no {name} above it; make the toy planet again")


def _listed_sum(root: Path, name: Path) -> str:
    """The sha256 that SHA256SUMS (sha256sum's format) or MANIFEST.csv in `root` gives for a file, or ""."""
    sums, manifest = root / "SHA256SUMS", root / "MANIFEST.csv"
    if sums.is_file():
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, _, file = line.partition(" ")
            if file.strip().removeprefix("*") == name.as_posix():
                return digest
    if manifest.is_file():
        with manifest.open(newline="", encoding="utf-8") as lines:
            return next((line["sha256"] for line in csv.DictReader(lines) if line["file"] == name.as_posix()), "")
    return ""


def _take(source: Path, row: Row, output: Path, known: str, link: bool) -> str:
    """Verify a local file, then link or copy it to `output`; its sha256."""
    if not source.is_file():
        raise HomingError(f"{source}: no such file")
    digest = _verify(source, row, known)
    with atomic_path(output) as partial:
        if link:
            partial.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, partial)
    return digest


def _fetch(row: Row, output: Path, known: str, patience: Patience) -> str:
    """Download into a partial file that outlives the job, verify, rename. A resumed one that is wrong is begun anew."""
    partial = output.parent / ".partial" / output.name
    resumed = partial.exists()
    while True:
        stated = download(request_for(row), partial, patience)
        try:
            digest = _verify(partial, row, known or stated)
            break
        except HomingError as error:
            discard(partial)
            if not resumed:
                raise
            log.warning("%s; it had been resumed, so it is fetched once more from its first byte", error)
            resumed = False
    partial.replace(output)
    discard(partial)
    return digest


def _verify(path: Path, row: Row, known: str) -> str:
    """The sha256 of a file. Raises HomingError when it or the size is not the known one, or the file is not whole."""
    where = f"{row['file']} ({row['dataset']}, version {row['version']})"
    size, expected = path.stat().st_size, exact_bytes(row)
    if size == 0:
        raise HomingError(f"{where}: the file is empty")
    if expected is not None and expected != size:
        raise HomingError(f"{where}: {size} bytes, expected {expected}: truncated, or another version upstream")
    digest = sha256(path)
    if known and digest != known:
        raise HomingError(
            f"{where}: sha256 is {digest}, expected {known}: damaged, or another version upstream; "
            "fetch it again, or after checking the file correct config/sources.csv or the lock file"
        )
    if not known:
        _check_structure(path, row["file"], where)
    return digest


def _check_structure(path: Path, name: str, where: str) -> None:
    """What can be told of a file that nothing is known of: a page, or an archive or database that is cut off."""
    with path.open("rb") as file:
        begin = file.read(512).lstrip()[:15].lower()
    if begin.startswith((b"<!doctype html", b"<html")) and not name.endswith(".html"):
        raise HomingError(f"{where}: it is a web page, not the file; is a login needed?")
    if name.endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                archive.infolist()
        except (zipfile.BadZipFile, OSError) as error:
            raise HomingError(f"{where}: not a whole zip ({error}); fetch it again") from None
    if name.endswith(".gpkg"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            try:
                database.execute("SELECT count(*) FROM gpkg_contents").fetchone()
            except sqlite3.DatabaseError as error:
                raise HomingError(f"{where}: not a whole GeoPackage ({error}); fetch it again") from None
