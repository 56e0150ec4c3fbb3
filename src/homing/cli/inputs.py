"""The photos given to `homing predict`: files, folders, patterns, tables, or a list on standard input."""

import glob
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from homing.errors import HomingError
from homing.importing.adapters import COLUMN_NAMES, IMAGE_SUFFIX, IMAGE_SUFFIXES, match_columns
from homing.text_tables import TextTable

TABLES = {".csv", ".tsv", ".parquet"}
VIEW_COLUMN = re.compile(r"(file|image)_(\d+)")


@dataclass(frozen=True)
class Item:
    """A place to predict: its id and the files of its views."""

    photo_id: str
    files: tuple[Path, ...]


def expand(names: Iterable[str], views: int = 1) -> list[Item]:
    """Return all places in order; outside of tables, `views` consecutive files are one place.

    Raises HomingError for a path that does not exist, and if files are left over.
    """
    loose: list[Path] = []
    items: list[Item] = []
    for name in names:
        path = Path(name)
        if name == "-":
            loose += [Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
        elif path.suffix.lower() in TABLES and path.is_file():
            items += of_table(path)
        else:
            loose += files_of(path)
    if not loose and not items:
        raise HomingError("no photos: standard input is empty; write one path per line")
    return _grouped(loose, views) + items


def files_of(path: Path) -> list[Path]:
    """Return a file, the images in a folder, or the matches of a pattern. Raises HomingError if there are none."""
    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in IMAGE_SUFFIXES and one.is_file())
        if not inside:
            raise HomingError(f"{path}: no image in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return inside
    if path.is_file():
        return [path]
    matched = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(str(path)) else []  # noqa: PTH207
    if not matched:
        raise HomingError(f"{path}: no such file or folder")
    return [file for one in matched for file in files_of(Path(one))]


def _grouped(paths: Sequence[Path], views: int) -> list[Item]:
    if views < 1 or len(paths) % views:
        raise HomingError(f"--views {views}: {len(paths)} photos cannot be grouped into places of {views} views")
    starts = range(0, len(paths), views)
    return [Item(paths[start].stem, tuple(paths[start : start + views])) for start in starts]


def of_table(path: Path) -> list[Item]:
    """Return the places of a CSV or Parquet table with the columns of the adapter csv_folder.

    These are `file` (or `path`), relative to the folder of the table, and optionally `photo_id`. Views are columns
    file_0, file_1, ..., or rows of one photo_id with a column `view`. Raises HomingError for a table without rows,
    without the column, or with a row without a file.
    """
    table = TextTable.from_path(path)
    names = match_columns(table, {})
    views = sorted((int(match[2]), name) for name in table.header if (match := VIEW_COLUMN.fullmatch(name)))
    columns = [name for _, name in views] or [names[name] for name in ("file",) if name in names]
    if not columns:
        has = f"it has {', '.join(table.header)}" if table.header else "it is empty"
        raise HomingError(f"{path}: no column for the photos (looked for {', '.join(COLUMN_NAMES['file'])}); {has}")
    together = "view" in names and "photo_id" in names
    rows: dict[object, Item] = {}
    for number, photo_id, files in _rows(table, names.get("photo_id"), columns):
        paths = tuple(path.parent / file for file in files)
        key = photo_id if together else number
        before = rows[key].files if key in rows else ()
        rows[key] = Item(photo_id or re.sub(IMAGE_SUFFIX, "", files[0]).replace("/", "_"), before + paths)
    if not rows:
        raise HomingError(f"{path}: a table without rows")
    return list(rows.values())


def _rows(table: TextTable, photo_id: str | None, columns: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield number, photo_id ("" without) and files of each row."""
    wanted = list(dict.fromkeys([*([photo_id] if photo_id else []), *columns]))
    for batch in table.batches(wanted):
        for row, reason, _ in batch.invalid:
            raise HomingError(f"{table.name}: row {row + 1}: {reason}")
        ids = batch.cells[photo_id] if photo_id else [""] * len(batch.cells)
        for row, name, files in zip(batch.rows, ids, batch.cells[list(columns)].to_numpy(), strict=True):
            if not all(files):
                raise HomingError(f"{table.name}: row {row + 1}: no file in {columns[list(files).index('')]!r}")
            yield int(row), name, [file.replace("\\", "/") for file in files]
