"""Atomic writes, JSON, checksums, and errors of a full disk."""

import errno
import hashlib
import json
import math
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homing.errors import HomingError, TransientError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path (for a file or a folder) beside `path`; rename it to `path` if the block succeeds.

    If the block raises, `path` is left as it was. What is written gets the permissions of any new file of this process.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    workspace = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    workspace.mkdir()
    try:
        yield workspace / path.name
        _set_permissions(workspace / path.name, stat.S_IMODE(workspace.stat().st_mode))
        if path.is_dir():
            shutil.rmtree(path)
        (workspace / path.name).replace(path)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _set_permissions(path: Path, folder_mode: int) -> None:
    """Give a folder and its subfolders the mode of a new folder, and files the same without the execute bits.

    Some libraries create files that only their owner may read. `folder_mode` is the mode of a folder just made, which
    shows what the umask allows: os.umask cannot be read without setting it, for every thread of the process.
    """
    for item in [path, *path.rglob("*")]:
        if not item.is_symlink():  # its target belongs to somebody else
            item.chmod(folder_mode if item.is_dir() else folder_mode & 0o666)


def write_json(path: str | Path, content: Any, *, non_finite_as_null: bool = False) -> None:
    """Write `content` as indented JSON, atomically.

    JSON has no NaN or infinity: they raise ValueError, or are written as null with `non_finite_as_null`.
    """
    with atomic_path(path) as partial:
        partial.write_text(_to_json(path, content, non_finite_as_null, indent=1) + "\n", encoding="utf-8")


def write_json_lines(path: str | Path, rows: Iterable[Any], *, non_finite_as_null: bool = False) -> None:
    """Write one line of JSON per row, atomically. NaN and infinity are treated as in `write_json`."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(_to_json(path, row, non_finite_as_null) + "\n" for row in rows)


def _to_json(path: str | Path, content: Any, non_finite_as_null: bool, indent: int | None = None) -> str:
    content = _with_nulls(content) if non_finite_as_null else content
    try:
        return json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _with_nulls(content: Any) -> Any:
    """A copy of `content` with None in place of each number that is not finite."""
    if isinstance(content, dict):
        return {key: _with_nulls(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_nulls(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file. Raises HomingError if it is missing or not valid JSON."""
    with _readable_json(path) as text:
        return json.loads(text)


def read_json_lines(path: str | Path) -> list[Any]:
    """Return the rows of a file that `write_json_lines` wrote. Raises HomingError as `read_json`."""
    with _readable_json(path) as text:
        return [json.loads(line) for line in text.splitlines()]


@contextmanager
def _readable_json(path: str | Path) -> Iterator[str]:
    try:
        yield Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HomingError(f"{path}: no such file") from None
    except ValueError as error:
        raise HomingError(f"{path}: not valid JSON ({error})") from None


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_disk_full(error: BaseException) -> bool:
    """True if a write failed because no space or quota is left."""
    # safetensors raises its own class, which gives the number in its message only.
    return getattr(error, "errno", None) in DISK_FULL or any(f"os error {number}" in str(error) for number in DISK_FULL)


@contextmanager
def translate_disk_full() -> Iterator[None]:
    """Raise TransientError in place of any error that says the disk is full; other errors pass unchanged."""
    try:
        yield
    except Exception as error:
        if isinstance(error, HomingError) or not is_disk_full(error):
            raise
        where = getattr(error, "filename", None) or Path.cwd()
        cure = "free some space and run again, finished files are kept"
        raise TransientError(f"{where}: no space left; {cure}") from error
