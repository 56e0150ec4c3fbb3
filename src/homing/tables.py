"""The tables that rules exchange: Parquet with zstd, with one schema each, validated when written and when read.

Units are in the column names. Missing values are null, never a magic number.
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
from homing.tasks import CLASS_TASKS, TASKS


def _schema(required: dict[str, pa.DataType], nullable: dict[str, pa.DataType] | None = None) -> pa.Schema:
    """Return a schema of both kinds of columns, given by name."""
    fields = [pa.field(name, kind, nullable=False) for name, kind in required.items()]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in (nullable or {}).items()])


_text, _int32, _int64, _float32, _float64 = pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64()
_place = {"latitude": _float64, "longitude": _float64}
_facts = {  # that a collection may give with a photo
    "captured_at": pa.timestamp("ms"), "author": _text, "heading_deg": _float32, "split": _text, "licence": _text,
    "source_url": _text, "given_country": _text, "given_climate": pa.int8(), "given_drives_on_left": pa.bool_(),
}  # fmt: skip
_lookups = {  # each with the distance to where it was found
    "admin_distance_km": _float32, "climate": pa.int8(), "climate_distance_km": _float32,
    "temperature_c": _float32, "temperature_range_c": _float32, "temperature_distance_km": _float32,
    "precipitation_mm": _float32, "precipitation_range_mm": _float32, "precipitation_distance_km": _float32,
    "elevation_m": _float32, "elevation_distance_km": _float32,
    "population_per_km2": _float32, "population_distance_km": _float32,
}  # fmt: skip

_task_types = {"class": pa.int8(), "value": _float32, "coordinate": _float64}

SCHEMAS: dict[str, pa.Schema] = {
    "photos": _schema({"photo_id": _text, **_place, "views": pa.int8()}, _facts),
    "rejected": _schema({"row": _int64, "reason": _text}, {"photo_id": _text, "content": _text}),
    "candidates": _schema(
        {"row": _int64, "photo_id": _text, "view": pa.int8(), **_place},
        {**_facts, "container": pa.int16(), "name": _text, "position": _int64, "bytes": _int64, "deflated": pa.bool_()},
    ),
    "stored": _schema(
        {"photo_id": _text, "view": pa.int8()},
        {"shard": _text, "offset": _int64, "bytes": _int64, "perceptual_hash": _int64, "reason": _text},
    ),
    "index": _schema(
        {"photo_id": _text, "view": pa.int8(), "shard": _text, "offset": _int64, "bytes": _int64},
        {"perceptual_hash": _int64},
    ),
    "ledger": _schema({"photo_id": _text}, {"author": _text, "licence": _text, "source_url": _text}),
    "leaks": _schema({"photo_id": _text, "reason": _text, "benchmark": _text, "benchmark_photo_id": _text}),
    "measured": _schema(_place, {"area_number": _int32, **_lookups}),
    "labels": _schema(
        {"photo_id": _text},
        {"country": _text, "country_name": _text, "region_id": _text, "region": _text, "area_id": _text, "area": _text,
         "town": _text, **_lookups, "month": pa.int8(), "drives_on_left": pa.bool_()},
    ),
    "splits": _schema({"photo_id": _text, "split": _text}),
    "assignments": _schema({"photo_id": _text, "cell_id": _int32}),
    "hierarchy": _schema(
        {"level": pa.int8(), "name": _text, "node": _int32, **_place, "photos": _int64},
        {"parent": _int32},
    ),
    "captions": _schema(
        {"photo_id": _text},
        {"location": _text, "climate": _text, "driving_side": _text, "month": _text, "season": _text, "heading": _text},
    ),
    "predictions": _schema(
        {"photo_id": _text, "rank": pa.int16(), **_place},
        {"cell_id": _int32, "probability": _float32},
    ),
    "tasks": _schema(
        {"photo_id": _text},
        {column: _task_types[task.kind] for task in TASKS.values() for column in task.columns},
    ),
}  # fmt: skip

CHUNK_ROWS = 500_000  # made and written at once where a table may be large

_RANGES = {
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    **{name: (1, TASKS[name].classes) for name in CLASS_TASKS},
}
_UNIQUE = {"photos": ["photo_id"], "labels": ["photo_id"], "splits": ["photo_id"], "assignments": ["photo_id"],
           "hierarchy": ["level", "node"],
           "captions": ["photo_id"], "predictions": ["photo_id", "rank"], "index": ["photo_id", "view"],
           "candidates": ["photo_id", "view"], "stored": ["photo_id", "view"], "ledger": ["photo_id"]}  # fmt: skip


def write(path: str | Path, frame: pd.DataFrame, schema: str) -> None:
    """Write `frame` as a table of `schema`, atomically; nullable columns that it lacks become null.

    Raises HomingError naming the column if one is not in the schema, or if a value is missing, out of range, of the
    wrong type or not unique.
    """
    with writer(path, schema) as out:
        out.add(frame)


@contextmanager
def writer(path: str | Path, schema: str, metadata: dict[bytes, bytes] | None = None) -> Iterator["Writer"]:
    """Open a table to write in chunks; it appears when the block ends. Unique keys are checked within each chunk only.

    metadata: stored in the file, for `read_metadata`.
    """
    with (
        atomic_path(path) as partial,
        pq.ParquetWriter(partial, SCHEMAS[schema].with_metadata(metadata), compression="zstd") as file,
    ):
        yield Writer(path, schema, file)


class Writer:
    """A table being written, with `rows` rows so far."""

    def __init__(self, path: str | Path, schema: str, file: pq.ParquetWriter) -> None:
        self.path, self.schema, self.file, self.rows = path, schema, file, 0

    def add(self, frame: pd.DataFrame | pa.Table) -> None:
        """Validate and append a chunk, as at least one row group. Raises HomingError as `write` does."""
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
    """Return a column in the type of `field`, nulls if `frame` lacks it."""
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
    """Read the table at `path`, or some of its `columns`.

    Raises HomingError if it is missing, unreadable, or lacks a column or its type.
    """
    return read_arrow(path, schema, columns).to_pandas()


def read_arrow(path: str | Path, schema: str, columns: list[str] | None = None) -> pa.Table:
    """Read the table at `path` as `read` does, without converting it to pandas."""
    wanted = SCHEMAS[schema]
    with _named_errors(path, schema):
        table = pq.read_table(path, columns=columns)
    absent = [name for name in columns or wanted.names if name not in table.column_names]
    if absent:
        raise HomingError(f"{path}: no column {absent[0]!r}; a {schema} table has {', '.join(wanted.names)}")
    for name in table.column_names:
        if name in wanted.names and table.schema.field(name).type != wanted.field(name).type:
            found = table.schema.field(name).type
            raise HomingError(f"{path}: column {name!r} must hold {wanted.field(name).type}, not {found}; convert it")
    return table


def read_metadata(path: str | Path, schema: str) -> dict[bytes, bytes]:
    """Return the metadata that was written with a table. Raises HomingError if it is missing or unreadable."""
    with _named_errors(path, schema):
        return pq.read_schema(path).metadata or {}


@contextmanager
def _named_errors(path: str | Path, schema: str) -> Iterator[None]:
    """Raise HomingError naming the file in place of an error of reading it."""
    try:
        yield
    except FileNotFoundError:
        raise HomingError(f"{path}: no such {schema} table") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise HomingError(f"{path}: not a readable Parquet file, remove it and make it again ({error})") from None


def check(path: str | Path, table: pa.Table, schema: str) -> None:
    """Raise HomingError if a required column has nulls, values are out of range, or keys are repeated."""
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
        distinct = table.group_by(keys).aggregate([([], "count_all")]).num_rows
        if distinct != table.num_rows:
            raise HomingError(f"{path}: {' and '.join(keys)} must be unique in a {schema} table")
