"""Read CSV and Parquet tables of unknown origin as text, in batches, at any size.

Only the empty cell is missing: "NA" is Namibia. A line that cannot be parsed is reported in its batch, not dropped.
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
class Batch:
    """Some rows of a table as text.

    rows: the number of each row in its table, from 0, int64 (n,). cells: their text, n rows. invalid: lines in this
    stretch of the table that could not be parsed, as (row number, reason, text).
    """

    rows: np.ndarray
    cells: pd.DataFrame
    invalid: list[tuple[int, str, str]]


@dataclass
class TextTable:
    """A CSV (comma, semicolon or tab) or Parquet table.

    name: for messages. open: opens its bytes. header: its column names.
    """

    name: str
    open: Callable[[], BinaryIO]
    parquet: bool = False
    header: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.header = self._read_header()

    @classmethod
    def from_path(cls, path: str | Path) -> "TextTable":
        """The table in a file. Raises HomingError if there is no such file."""
        path = Path(path)
        if not path.is_file():
            raise HomingError(f"{path}: no such table")
        return cls(str(path), lambda: path.open("rb"), path.suffix == ".parquet")

    @classmethod
    def from_bytes(cls, name: str, data: bytes) -> "TextTable":
        """A CSV table held in memory."""
        return cls(name, lambda: io.BytesIO(data))

    def _read_header(self) -> list[str]:
        with self.open() as file:
            if self.parquet:
                try:
                    return pq.read_schema(file).names
                except pa.ArrowInvalid as error:
                    raise HomingError(f"{self.name}: not a readable Parquet file ({error})") from None
            line = file.readline().decode("utf-8-sig", "replace")
        self.delimiter = max(",;\t", key=line.count) if line else ","
        return next(csv.reader([line], delimiter=self.delimiter), [])

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows of some columns, in file order. Raises HomingError if the file cannot be parsed."""
        return self._parquet_batches(columns) if self.parquet else self._csv_batches(columns)

    def _parquet_batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        row = 0
        with self.open() as file:
            for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=list(columns)):
                texts = {name: pc.fill_null(pc.cast(batch.column(name), pa.string()), "") for name in columns}
                yield Batch(np.arange(row, row + len(batch)), pa.table(texts).to_pandas(), [])
                row += len(batch)

    def _csv_batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        with self.open() as raw:
            if not raw.read(1):
                return
        invalid: list[tuple[int, str, str]] = []  # grows while the reader reads

        def skip(line: pa_csv.InvalidRow) -> str:
            reason = f"the line has {line.actual_columns} cells instead of {line.expected_columns}"
            invalid.append((line.number - 2, reason, line.text))
            return "skip"

        try:
            with self.open() as raw:
                next_row = reported = 0
                for batch in self._csv_reader(raw, columns, skip):
                    rows = _row_numbers(next_row, len(batch), {row for row, _, _ in invalid})
                    next_row = int(rows[-1]) + 1 if len(rows) else next_row
                    yield _decode(rows, batch, invalid[reported:])
                    reported = len(invalid)
                if reported < len(invalid):
                    yield Batch(np.zeros(0, dtype=np.int64), pd.DataFrame(columns=list(columns)), invalid[reported:])
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise HomingError(f"{self.name}: cannot be read as CSV ({str(error).splitlines()[0]})") from None

    def _csv_reader(
        self, raw: BinaryIO, columns: Sequence[str], skip: Callable[[pa_csv.InvalidRow], str]
    ) -> pa_csv.CSVStreamingReader:
        """A reader of all columns as bytes; they are decoded afterwards, since one bad cell would end the file."""
        return pa_csv.open_csv(
            raw,
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self.header, pa.binary()), include_columns=list(columns)
            ),
        )


def _row_numbers(first: int, count: int, skipped: set[int]) -> np.ndarray:
    """The numbers of `count` rows from `first` on, without the `skipped` ones; int64 (count,)."""
    if not skipped:
        return np.arange(first, first + count)
    numbers = np.arange(first, first + count + len(skipped))
    return numbers[~np.isin(numbers, list(skipped))][:count]


def _decode(rows: np.ndarray, batch: pa.RecordBatch, invalid: list[tuple[int, str, str]]) -> Batch:
    """Decode bytes as UTF-8; rows that are not UTF-8 become invalid lines."""
    try:
        texts = {name: pc.cast(batch.column(name), pa.string()) for name in batch.schema.names}
        return Batch(rows, pa.table(texts).to_pandas(), invalid)
    except pa.ArrowInvalid:
        lines = list(zip(*(batch.column(name).to_pylist() for name in batch.schema.names), strict=True))
        valid = [_is_utf8(line) for line in lines]
        not_utf8 = [
            (int(row), "the line is not UTF-8", b",".join(line).decode("utf-8", "replace"))
            for row, line, ok in zip(rows, lines, valid, strict=True)
            if not ok
        ]
        return _decode(rows[valid], batch.filter(pa.array(valid)), invalid + not_utf8)


def _is_utf8(cells: Sequence[bytes]) -> bool:
    try:
        for cell in cells:
            cell.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
