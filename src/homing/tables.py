"""The tables between the rooms: one schema each, validated when written and when read, Parquet with zstd.

Units are in the column names or in `docs/architecture.md`. Missing is null, never a magic number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from homing.errors import HomingError
from homing.files import atomic_path


def _schema(required: dict[str, pa.DataType], nullable: dict[str, pa.DataType] | None = None) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in required.items()]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in (nullable or {}).items()])


_text, _real, _single, _whole, _long = pa.string(), pa.float64(), pa.float32(), pa.int32(), pa.int64()
_known = {"captured_at": pa.timestamp("ms"), "author": _text, "heading_deg": _single, "split": _text, "licence": _text,
          "source_url": _text, "given_country": _text, "given_climate": pa.int8(),
          "given_drives_on_left": pa.bool_()}  # fmt: skip

SCHEMAS: dict[str, pa.Schema] = {
    "photos": _schema({"photo_id": _text, "latitude": _real, "longitude": _real, "views": pa.int8()}, _known),
    "rejected": _schema({"row": _long, "reason": _text}, {"photo_id": _text, "content": _text}),
    "candidates": _schema(
        {"row": _long, "photo_id": _text, "view": pa.int8(), "latitude": _real, "longitude": _real},
        {**_known, "container": pa.int16(), "name": _text, "position": _long, "bytes": _long, "deflated": pa.bool_()},
    ),
    "stored": _schema(
        {"photo_id": _text, "view": pa.int8()},
        {"shard": _text, "offset": _long, "bytes": _long, "perceptual_hash": _long, "reason": _text},
    ),
    "index": _schema(
        {"photo_id": _text, "view": pa.int8(), "shard": _text, "offset": _long, "bytes": _long},
        {"perceptual_hash": _long},
    ),
    "ledger": _schema({"photo_id": _text}, {"author": _text, "licence": _text, "source_url": _text}),
    "leaks": _schema({"photo_id": _text, "reason": _text, "benchmark": _text, "benchmark_photo_id": _text}),
    "measured": _schema(
        {"latitude": _real, "longitude": _real},
        {"area_number": _whole, "admin_distance_km": _single, "climate": pa.int8(), "climate_distance_km": _single,
         "temperature_c": _single, "temperature_range_c": _single, "temperature_distance_km": _single,
         "precipitation_mm": _single, "precipitation_range_mm": _single, "precipitation_distance_km": _single,
         "elevation_m": _single, "elevation_distance_km": _single,
         "population_per_km2": _single, "population_distance_km": _single},
    ),
    "labels": _schema(
        {"photo_id": _text},
        {"country": _text, "country_name": _text, "region_id": _text, "region": _text, "area_id": _text, "area": _text,
         "town": _text, "admin_distance_km": _single, "climate": pa.int8(), "climate_distance_km": _single,
         "temperature_c": _single, "temperature_range_c": _single, "temperature_distance_km": _single,
         "precipitation_mm": _single, "precipitation_range_mm": _single, "precipitation_distance_km": _single,
         "elevation_m": _single, "elevation_distance_km": _single,
         "population_per_km2": _single, "population_distance_km": _single,
         "month": pa.int8(), "drives_on_left": pa.bool_()},
    ),
    "splits": _schema({"photo_id": _text, "split": _text}),
    "assignments": _schema({"photo_id": _text, "cell_id": _whole}),
    "hierarchy": _schema(
        {"level": pa.int8(), "name": _text, "node": _whole, "latitude": _real, "longitude": _real, "photos": _long},
        {"parent": _whole},
    ),
    "captions": _schema(
        {"photo_id": _text},
        {"location": _text, "climate": _text, "driving_side": _text, "month": _text, "season": _text, "heading": _text},
    ),
    "predictions": _schema(
        {"photo_id": _text, "rank": pa.int16(), "latitude": _real, "longitude": _real},
        {"cell_id": _whole, "probability": _single},
    ),
    "tasks": _schema(
        {"photo_id": _text},
        {"climate": pa.int8(), "month": pa.int8(), "temperature_c": _single, "temperature_range_c": _single,
         "precipitation_mm": _single, "precipitation_range_mm": _single, "elevation_m": _single,
         "population_per_km2": _single, "latitude": _real, "longitude": _real},
    ),
}  # fmt: skip

PIECE = 500_000  # rows that are made and written at once, where tables are large

_RANGES = {"latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0), "climate": (1, 30), "month": (1, 12)}
_UNIQUE = {"photos": ["photo_id"], "labels": ["photo_id"], "splits": ["photo_id"], "assignments": ["photo_id"],
           "hierarchy": ["level", "node"],
           "captions": ["photo_id"], "predictions": ["photo_id", "rank"], "index": ["photo_id", "view"],
           "candidates": ["photo_id", "view"], "stored": ["photo_id", "view"], "ledger": ["photo_id"]}  # fmt: skip


def write(path: str | Path, frame: pd.DataFrame, schema: str) -> None:
    """Write `frame` as the table `schema`, atomically. Absent nullable columns become null, further ones are refused.

    Raises HomingError naming the column when a value is missing, out of range, of the wrong type or not unique.
    """
    with writer(path, schema) as out:
        out.add(frame)


@contextmanager
def writer(path: str | Path, schema: str, notes: dict[bytes, bytes] | None = None) -> Iterator["Writer"]:
    """A table written piece by piece, seen when it is whole. Keys are compared within a piece.

    `notes` go into the file's metadata, where `metadata` finds them.
    """
    with (
        atomic_path(path) as partial,
        pq.ParquetWriter(partial, SCHEMAS[schema].with_metadata(notes), compression="zstd") as file,
    ):
        yield Writer(path, schema, file)


class Writer:
    """An open table: `rows` so far, and each further piece is one row group or more."""

    def __init__(self, path: str | Path, schema: str, file: pq.ParquetWriter) -> None:
        self.path, self.schema, self.file, self.rows = path, schema, file, 0

    def add(self, frame: pd.DataFrame | pa.Table) -> None:
        """Check and append `frame`. Raises HomingError as `write` does."""
        wanted = SCHEMAS[self.schema]
        names = frame.column_names if isinstance(frame, pa.Table) else frame.columns
        unknown = [name for name in names if name not in wanted.names]
        if unknown:
            raise HomingError(
                f"{self.path}: column {unknown[0]!r} is not part of a {self.schema} table ({', '.join(wanted.names)})"
            )
        columns = [_column(self.path, frame, field) for field in wanted]
        table = pa.Table.from_arrays(columns, schema=wanted)
        check(self.path, table, self.schema)
        self.file.write_table(table)
        self.rows += len(frame)


def _column(path: str | Path, frame: pd.DataFrame | pa.Table, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    names = frame.column_names if isinstance(frame, pa.Table) else frame.columns
    if field.name not in names:
        return pa.nulls(len(frame), field.type)
    try:
        if isinstance(frame, pa.Table):
            return frame[field.name].cast(field.type)
        return pa.Array.from_pandas(frame[field.name], type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise HomingError(f"{path}: column {field.name!r} must hold {field.type}: {error}") from None


def read(path: str | Path, schema: str, columns: list[str] | None = None) -> pd.DataFrame:
    """The table at `path`, checked against `schema`; only `columns` when given. Raises HomingError."""
    return read_arrow(path, schema, columns).to_pandas()


def read_arrow(path: str | Path, schema: str, columns: list[str] | None = None) -> pa.Table:
    """The same as Arrow keeps it."""
    wanted = SCHEMAS[schema]
    with _readable(path, schema):
        table = pq.read_table(path, columns=columns)
    absent = [name for name in columns or wanted.names if name not in table.column_names]
    if absent:
        raise HomingError(f"{path}: no column {absent[0]!r}; a {schema} table has {', '.join(wanted.names)}")
    for name in table.column_names:
        if name in wanted.names and table.schema.field(name).type != wanted.field(name).type:
            found = table.schema.field(name).type
            raise HomingError(f"{path}: column {name!r} must hold {wanted.field(name).type}, not {found}; convert it")
    return table


def metadata(path: str | Path, schema: str) -> dict[bytes, bytes]:
    """The notes that were written with a table. Raises HomingError."""
    with _readable(path, schema):
        return pq.read_schema(path).metadata or {}


@contextmanager
def _readable(path: str | Path, schema: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise HomingError(f"{path}: no such {schema} table") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise HomingError(f"{path}: not a readable Parquet file, remove it and make it again ({error})") from None


def check(path: str | Path, table: pa.Table, schema: str) -> None:
    """Raise HomingError where a column has nulls it must not have, values out of range, or repeated keys."""
    for field in SCHEMAS[schema]:
        column = table.column(field.name)
        if not field.nullable and column.null_count:
            raise HomingError(f"{path}: {column.null_count} empty values in column {field.name!r}, which may have none")
        if field.name in _RANGES and not pa.types.is_string(field.type):
            low, high = _RANGES[field.name]
            values = column.drop_null().to_numpy()
            bad = np.flatnonzero(~((values >= low) & (values <= high)))
            if len(bad):
                raise HomingError(f"{path}: {field.name} {values[bad[0]]} is outside {low}..{high}")
    keys = _UNIQUE.get(schema)
    if keys and table.num_rows:
        repeated = table.group_by(keys).aggregate([([], "count_all")]).num_rows != table.num_rows
        if repeated:
            raise HomingError(f"{path}: {' and '.join(keys)} must be unique in a {schema} table")
