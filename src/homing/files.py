"""Files that are never seen half-written, their checksums, and disks that are full."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homing.errors import HomingError, TransientError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path (file or folder) beside `path`, renamed onto it when the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    workspace.chmod(0o755)
    try:
        yield workspace / path.name
        _as_umask_says(workspace / path.name)
        if path.is_dir():
            shutil.rmtree(path)
        (workspace / path.name).replace(path)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _as_umask_says(path: Path) -> None:
    """Give a file, or all in a folder, the usual rights: some libraries write for the owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    for one in [path, *path.rglob("*")]:
        if not one.is_symlink():  # what a link points to is somebody else's
            one.chmod((0o777 if one.is_dir() else 0o666) & ~umask)


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinity are refused."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file. Raises HomingError when it is missing or no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HomingError(f"{path}: no such file") from None
    except ValueError as error:
        raise HomingError(f"{path}: not valid JSON ({error})") from None


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of space or quota; safetensors tells it in words alone."""
    return getattr(error, "errno", None) in FULL or any(f"os error {number}" in str(error) for number in FULL)


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise TransientError in place of what is raised when a write fails for want of space."""
    try:
        yield
    except Exception as error:
        if isinstance(error, HomingError) or not is_disk_full(error):
            raise
        where = getattr(error, "filename", None) or Path.cwd()
        raise TransientError(
            f"{where}: no space left; make room and run again, what was written whole is kept"
        ) from error
