"""Retrieve a raw file from the toy planet, the mirror, a path or the web, and verify it before it appears."""

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
from homing.sources.download import RetryPolicy, discard, download
from homing.sources.hosts import request_for
from homing.sources.table import RECORD, Row, exact_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrievalSettings:
    """The user's choices for retrieval.

    mirror: folder to look in first; link_mirror: link to its files instead of copying them. accept_licences: accepted
    data sets. lock: the lock file. repository: folder that `file:` addresses are relative to.
    """

    mirror: str | None = None
    link_mirror: bool = True
    accept_licences: Sequence[str] = ()
    lock: str | Path = "config/sources.lock.csv"
    repository: Path = Path()
    retry: RetryPolicy = field(default_factory=RetryPolicy)


def retrieve(
    row: Row,
    output: str | Path,
    manifest: str | Path,
    settings: RetrievalSettings,
    generated: str | Path | None = None,
) -> None:
    """Retrieve the file of a row of config/sources.csv to `output`, and describe it in the JSON file `manifest`.

    generated: the toy planet's file, for rows that are made here. Raises HomingError if the licence is not accepted, or
    if the file is not found or its size or SHA-256 is not the expected one; `output` does not exist then.
    """
    check_licence(row, settings.accept_licences)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    digest = _retrieve_verified(row, output, settings, Path(generated) if generated else None)
    if row["sha256"] == RECORD and not generated:
        lock.record(settings.lock, row, output.stat().st_size, digest)
    content = {name: row[name] for name in ("dataset", "version", "file", "url", "licence", "redistribute")}
    write_json(manifest, content | {"bytes": output.stat().st_size, "sha256": digest})
    log.info("%s: %.1f MB, sha256 %s", row["file"], output.stat().st_size / 1e6, digest[:12])


def _retrieve_verified(row: Row, output: Path, settings: RetrievalSettings, generated: Path | None) -> str:
    """Retrieve a file from the first place that has it; return its SHA-256."""
    expected = row["sha256"].replace(RECORD, "") or lock.locked_sha256(settings.lock, row)
    if generated:
        root = _folder_with(generated, "SHA256SUMS")
        return _take_local(generated, row, output, _listed_sha256(root, generated.relative_to(root)), link=False)
    if settings.mirror and (found := in_mirror(row, settings.mirror)):
        mirror = Path(settings.mirror)
        expected = expected or _listed_sha256(mirror, found.relative_to(mirror))
        return _take_local(found, row, output, expected, settings.link_mirror)
    if row["url"].startswith("file:"):
        return _take_local(settings.repository / row["url"].removeprefix("file:"), row, output, expected, link=False)
    if row["url"].startswith("mirror:"):
        now = f", now {settings.mirror}" if settings.mirror else ""
        raise HomingError(
            f"{row['file']}: no program can fetch it; put it as {row['url'].removeprefix('mirror:')} into the mirror "
            f"folder (key mirror{now}); see docs/data.md"
        )
    return _download(row, output, expected, settings.retry)


def check_licence(row: Row, accepted: Sequence[str]) -> None:
    """Raise HomingError naming the licence and the key to set if it must be accepted and is not."""
    if row["needs_acceptance"] == "yes" and row["dataset"] not in accepted:
        raise HomingError(
            f"{row['dataset']}: its licence ({row['licence']}) must be accepted: read it, "
            f"then add {row['dataset']!r} to the key accept_licences"
        )


def in_mirror(row: Row, mirror: str | None) -> Path | None:
    """Return the file in the mirror: in <dataset>/<version>/, at the path of a `mirror:` url, or at the top; or None.

    Raises HomingError if the mirror is not a folder.
    """
    if not mirror:
        return None
    root = Path(mirror)
    if not root.is_dir():
        raise HomingError(f"mirror: {mirror} is not a folder")
    stated = row["url"].removeprefix("mirror:") if row["url"].startswith("mirror:") else row["file"]
    candidates = [root / row["dataset"] / row["version"] / row["file"], root / stated, root / row["file"]]
    return next((path for path in candidates if path.is_file()), None)


def _folder_with(path: Path, name: str) -> Path:
    """Return the nearest folder above `path` that holds a file `name`."""
    for folder in path.parents:
        if (folder / name).is_file():
            return folder
    raise HomingError(f"{path}: no {name} above it; make the toy planet again")


def _listed_sha256(root: Path, name: Path) -> str:
    """Return the SHA-256 of a file in SHA256SUMS (sha256sum's format) or MANIFEST.csv of the folder `root`, or ""."""
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


def _take_local(source: Path, row: Row, output: Path, expected: str, link: bool) -> str:
    """Verify a local file, then link or copy it to `output`; return its SHA-256."""
    if not source.is_file():
        raise HomingError(f"{source}: no such file")
    digest = _verify(source, row, expected)
    with atomic_path(output) as partial:
        if link:
            partial.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, partial)
    return digest


def _download(row: Row, output: Path, expected: str, retry: RetryPolicy) -> str:
    """Download to a partial file that outlives the job, verify and rename it; return its SHA-256.

    If a resumed file turns out wrong, it is downloaded once more from its first byte.
    """
    partial = output.parent / ".partial" / output.name
    resumed = partial.exists()
    while True:
        stated = download(request_for(row), partial, retry)
        try:
            digest = _verify(partial, row, expected or stated)
            break
        except HomingError as error:
            discard(partial)
            if not resumed:
                raise
            log.warning("%s; it was resumed, so it is downloaded once more from its first byte", error)
            resumed = False
    partial.replace(output)
    discard(partial)
    return digest


def _verify(path: Path, row: Row, expected: str) -> str:
    """Return the SHA-256 of a file.

    Raises HomingError if it is not `expected`, if the size is not the row's, or, without an expected SHA-256, if the
    file is evidently a web page or truncated.
    """
    where = f"{row['file']} ({row['dataset']}, version {row['version']})"
    size, expected_size = path.stat().st_size, exact_bytes(row)
    if size == 0:
        raise HomingError(f"{where}: the file is empty")
    if expected_size is not None and expected_size != size:
        raise HomingError(f"{where}: {size} bytes, expected {expected_size}: truncated, or another version upstream")
    digest = sha256(path)
    if expected and digest != expected:
        raise HomingError(
            f"{where}: sha256 is {digest}, expected {expected}: damaged, or another version upstream; "
            "download it again, or after checking the file correct config/sources.csv or the lock file"
        )
    if not expected:
        _check_structure(path, row["file"], where)
    return digest


def _check_structure(path: Path, name: str, where: str) -> None:
    """Raise HomingError if a file is a web page, or a zip or GeoPackage that cannot be opened."""
    with path.open("rb") as file:
        begin = file.read(512).lstrip()[:15].lower()
    if begin.startswith((b"<!doctype html", b"<html")) and not name.endswith(".html"):
        raise HomingError(f"{where}: it is a web page, not the file; is a login needed?")
    if name.endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                archive.infolist()
        except (zipfile.BadZipFile, OSError) as error:
            raise HomingError(f"{where}: not a complete zip ({error}); download it again") from None
    if name.endswith(".gpkg"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            try:
                database.execute("SELECT count(*) FROM gpkg_contents").fetchone()
            except sqlite3.DatabaseError as error:
                raise HomingError(f"{where}: not a complete GeoPackage ({error}); download it again") from None
