"""Read config/sources.csv: every upstream file that Homing knows, with its address, size and licence.

A row may stand for a numbered series: `mp-16-images{00..18}` in `url` and `file` is nineteen rows. `bytes` is exact, an
estimate for planning (`~19500000000`), or empty. `sha256` is a digest, or RECORD: the digest of the first download is
then kept in the lock file, and later downloads must match it.
"""

import csv
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from homing.errors import HomingError

Row = dict[str, str]

RECORD = "record on first use"
COLUMNS = (
    "dataset", "version", "url", "file", "member", "bytes", "sha256", "licence", "needs_acceptance", "redistribute"
)  # fmt: skip
_SERIES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_PATTERNS = {
    "dataset": r"[a-z0-9_]+",
    "version": r"[A-Za-z0-9_.-]+",
    "url": r"(https?|file|hf|kaggle|mirror|toyplanet):\S+",
    "file": r"[^/\s]+",
    "bytes": r"(~?\d+)?",
    "sha256": rf"([0-9a-f]{{64}}|{RECORD})?",
    "needs_acceptance": "yes|no",
    "redistribute": "yes|no",
}


def read_sources(path: str | Path) -> list[Row]:
    """Return the rows of config/sources.csv, series expanded. Raises HomingError naming the line that is wrong."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise HomingError(f"{path}: its columns must be {', '.join(COLUMNS)}")
        rows = [
            row for number, line in enumerate(lines, start=2) for row in _expand_series(_validated(line, path, number))
        ]
    seen: set[tuple[str, str, str]] = set()
    for row in rows:
        key = (row["dataset"], row["version"], row["file"])
        if key in seen:
            raise HomingError(f"{path}: {'/'.join(key)} is listed twice")
        seen.add(key)
    return rows


def _validated(line: Row, path: str | Path, number: int) -> Row:
    """Return the row of a line. Raises HomingError naming the line and column if a value has the wrong form."""
    for column, pattern in _PATTERNS.items():
        if not re.fullmatch(pattern, line[column] or ""):
            raise HomingError(f"{path}, line {number}: {column} {line[column]!r} must be like {pattern}")
    return line


def _expand_series(row: Row) -> Iterator[Row]:
    """Yield the rows that a numbered series stands for, or the row itself."""
    ranges = _SERIES.search(row["file"])
    if not ranges:
        yield row
        return
    first, last = ranges.groups()
    for number in range(int(first), int(last) + 1):
        text = str(number).zfill(len(first))
        yield row | {name: _SERIES.sub(text, row[name]) for name in ("url", "file")}


def source_rows(sources: list[Row], source: str) -> list[Row]:
    """Return the rows of `<dataset>/<version>`. Raises HomingError naming similar ones if there is none."""
    dataset, version = source.split("/")
    rows = [row for row in sources if row["dataset"] == dataset and row["version"] == version]
    if not rows:
        known = sorted({f"{row['dataset']}/{row['version']}" for row in sources})
        near = [name for name in known if name.startswith(f"{dataset}/")]
        near = near or difflib.get_close_matches(source, known, n=3, cutoff=0.4) or known
        raise HomingError(f"config: source {source!r} is not in config/sources.csv; near: {', '.join(near)}")
    return rows


def source_row(sources: list[Row], source: str, file: str) -> Row:
    """Return the row of one file of `<dataset>/<version>`. Raises HomingError if there is none."""
    for row in source_rows(sources, source):
        if row["file"] == file:
            return row
    raise HomingError(f"config/sources.csv: {source} has no file {file!r}")


def exact_bytes(row: Row) -> int | None:
    """Return the size that the file must have, or None if it is not known exactly."""
    return int(row["bytes"]) if row["bytes"].isdigit() else None


def planned_bytes(row: Row) -> int | None:
    """Return the size for planning, exact or estimated, or None."""
    return int(row["bytes"].lstrip("~")) if row["bytes"] else None
