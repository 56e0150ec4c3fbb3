"""The lock file: SHA-256 digests of first downloads, which later downloads must match. Commit it with the project."""

import csv
import logging
from pathlib import Path

from filelock import SoftFileLock, Timeout

from homing.errors import HomingError, TransientError
from homing.files import atomic_path
from homing.sources.table import Row

log = logging.getLogger(__name__)

COLUMNS = ("dataset", "version", "file", "bytes", "sha256")
LOCK_TIMEOUT_SECONDS = 120


def locked_sha256(path: str | Path, row: Row) -> str:
    """Return the recorded digest of a file, or ""."""
    return _read(Path(path)).get(_key(row), ("", ""))[1]


def record(path: str | Path, row: Row, size: int, digest: str) -> None:
    """Record the digest of a file downloaded for the first time; jobs on several machines may do so at once.

    Raises HomingError if another digest is recorded.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with SoftFileLock(f"{path}.busy", timeout=LOCK_TIMEOUT_SECONDS):
            known = _read(path)
            if known.setdefault(_key(row), (str(size), digest))[1] != digest:
                raise HomingError(f"{path}: another job recorded a different sha256 for {'/'.join(_key(row))}")
            with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
                lines = csv.writer(file, lineterminator="\n")
                lines.writerow(COLUMNS)
                lines.writerows([*key, *value] for key, value in sorted(known.items()))
    except Timeout:
        raise TransientError(
            f"{path}.busy: another job has held it for {LOCK_TIMEOUT_SECONDS} s; delete the file if no job runs"
        ) from None
    log.info("%s: sha256 recorded in %s; keep that file with your project", row["file"], path)


def _key(row: Row) -> tuple[str, str, str]:
    return row["dataset"], row["version"], row["file"]


def _read(path: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise HomingError(f"{path}: its columns must be {', '.join(COLUMNS)}; correct or remove it")
        return {_key(line): (line["bytes"], line["sha256"]) for line in lines}
