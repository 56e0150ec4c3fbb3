"""Tables of unknown origin as text, in batches: CSV (comma, semicolon or tab) and Parquet, of any size.

Nothing is taken for missing but the empty cell: "NA" is Namibia. A line that cannot be read is reported, not lost.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from homing.errors import HomingError

BLOCK_BYTES = 8 << 20
BATCH_ROWS = 65_536


@dataclass
class Table:
    """A table: its name for messages, and how its bytes are opened."""

    name: str
    open: Callable[[], BinaryIO]
    parquet: bool = False
    header: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.header = self._header()

    @classmethod
    def of(cls, path: str | Path) -> "Table":
        """The table in a file. Raises HomingError when there is none."""
        path = Path(path)
        if not path.is_file():
            raise HomingError(f"{path}: no such table")
        return cls(str(path), lambda: path.open("rb"), path.suffix == ".parquet")

    def _header(self) -> list[str]:
        with self.open() as file:
            if self.parquet:
                try:
                    return pq.read_schema(file).names
                except pa.ArrowInvalid as error:
                    raise HomingError(f"{self.name}: not a readable Parquet file ({error})") from None
            line = file.readline().decode("utf-8-sig", "replace")
        self.delimiter = max(",;\t", key=line.count) if line else ","
        return next(csv.reader([line], delimiter=self.delimiter), [])

    def batches(self, columns: Sequence[str]) -> Iterator["Batch"]:
        """Batches of some columns, in file order."""
        return self._parquet_batches(columns) if self.parquet else self._csv_batches(columns)

    def _parquet_batches(self, columns: Sequence[str]) -> Iterator["Batch"]:
        row = 0
        with self.open() as file:
            for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=list(columns)):
                texts = {name: pc.fill_null(pc.cast(batch.column(name), pa.string()), "") for name in columns}
                yield Batch(np.arange(row, row + len(batch)), pa.table(texts).to_pandas(), [])
                row += len(batch)

    def _csv_batches(self, columns: Sequence[str]) -> Iterator["Batch"]:
        broken: list[tuple[int, str]] = []

        def keep(line: pa_csv.InvalidRow) -> str:
            reason = f"the line has {line.actual_columns} cells instead of {line.expected_columns}"
            broken.append((line.number - 2, f"{reason}\0{line.text}"))
            return "skip"

        with self.open() as raw:
            if not raw.read(1):
                return
        try:
            with self.open() as raw:
                reader = pa_csv.open_csv(
                    raw,
                    read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
                    parse_options=pa_csv.ParseOptions(
                        delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=keep
                    ),
                    convert_options=pa_csv.ConvertOptions(
                        column_types=dict.fromkeys(self.header, pa.binary()), include_columns=list(columns)
                    ),
                )
                first, told = 0, 0
                for batch in reader:
                    rows = _numbers(first, len(batch), {number for number, _ in broken})
                    first = int(rows[-1]) + 1 if len(rows) else first
                    yield _decoded(rows, batch, broken[told:])
                    told = len(broken)
                if told < len(broken):
                    yield Batch(np.zeros(0, dtype=np.int64), pd.DataFrame(columns=list(columns)), _split(broken[told:]))
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise HomingError(f"{self.name}: cannot be read as CSV ({str(error).splitlines()[0]})") from None


@dataclass
class Batch:
    """Text cells with the number of each row in its table, and the lines that cannot be read: (row, reason, text)."""

    rows: np.ndarray
    cells: pd.DataFrame
    broken: list[tuple[int, str, str]]


def _numbers(first: int, count: int, skipped: set[int]) -> np.ndarray:
    """The numbers of `count` rows from `first` on, those of broken lines left out."""
    if not skipped:
        return np.arange(first, first + count)
    numbers = np.arange(first, first + count + len(skipped))
    return numbers[~np.isin(numbers, list(skipped))][:count]


def _split(lines: list[tuple[int, str]]) -> list[tuple[int, str, str]]:
    return [(number, *text.split("\0", 1)) for number, text in lines]


def _decoded(rows: np.ndarray, batch: pa.RecordBatch, broken: list[tuple[int, str]]) -> Batch:
    """Bytes to text; rows that are not UTF-8 are broken lines."""
    try:
        texts = {name: pc.cast(batch.column(name), pa.string()) for name in batch.schema.names}
        return Batch(rows, pa.table(texts).to_pandas(), _split(broken))
    except pa.ArrowInvalid:
        lines = list(zip(*(batch.column(name).to_pylist() for name in batch.schema.names), strict=True))
        good = [_is_utf8(line) for line in lines]
        wrong = [
            (int(row), "the line is not UTF-8", b",".join(line).decode("utf-8", "replace"))
            for row, line, fine in zip(rows, lines, good, strict=True)
            if not fine
        ]
        kept = _decoded(rows[good], batch.filter(pa.array(good)), [])
        return Batch(kept.rows, kept.cells, _split(broken) + wrong)


def _is_utf8(cells: Sequence[bytes]) -> bool:
    try:
        b"".join(cells).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def from_bytes(name: str, data: bytes) -> Table:
    """A table that is held in memory."""
    return Table(name, lambda: io.BytesIO(data))
