"""A cache of look-ups: a table of coordinates and results, with the identity of the data that each result came from."""

import hashlib
import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from homing import tables
from homing.errors import HomingError
from homing.jobs.code import fingerprint
from homing.labels.curve import matches
from homing.labels.grid import NOTHING
from homing.labels.measure import Lookup, column_type, measure

log = logging.getLogger(__name__)

IDENTITIES = b"homing.identities"  # key in the metadata of the Parquet file


def measure_with_cache(
    latitude: np.ndarray,
    longitude: np.ndarray,
    lookups: Sequence[Lookup],
    cache_paths: Sequence[Path],
    **resources: int,
) -> dict[str, np.ndarray]:
    """Return all columns of all look-ups at points, as `measure` does; only points that are not cached are looked up.

    The points are in the order of the curve, and so are the tables of `cache_paths` (from `write_cache`), one after the
    other. A look-up whose identity has changed is made for all points.
    """
    cache = _Cache(cache_paths, latitude, longitude)
    valid = [lookup for lookup in lookups if cache.is_valid(lookup)]
    others = [lookup for lookup in lookups if lookup not in valid]
    columns: dict[str, np.ndarray] = {}
    if others:
        log.info("%s: %d photos", ", ".join(lookup.name for lookup in others), len(latitude))
        columns |= measure(latitude, longitude, others, **resources)
    if valid:
        missing = np.flatnonzero(cache.row < 0)
        names = ", ".join(lookup.name for lookup in valid)
        log.info("%s: %d photos, %d cached", names, len(missing), len(latitude) - len(missing))
        for name, values in measure(latitude[missing], longitude[missing], valid, **resources).items():
            columns[name] = cache.column(name)
            columns[name][missing] = values
    return columns


def write_cache(
    path: str | Path,
    latitude: np.ndarray,
    longitude: np.ndarray,
    columns: Mapping[str, np.ndarray],
    lookups: Sequence[Lookup],
) -> None:
    """Write look-ups at points in the order of the curve as a table `measured`."""
    identities = json.dumps({lookup.name: identity_of(lookup) for lookup in lookups})
    with tables.writer(path, "measured", {IDENTITIES: identities.encode()}) as out:
        for start in range(0, max(1, len(latitude)), tables.CHUNK_ROWS):
            piece = slice(start, start + tables.CHUNK_ROWS)
            out.add(
                pa.table(
                    {"latitude": latitude[piece], "longitude": longitude[piece]}
                    | {name: as_arrow(values[piece]) for name, values in columns.items()}
                )
            )


def as_arrow(values: np.ndarray) -> pa.Array:
    """Convert a column to Arrow, with nulls for NOTHING (integers) or NaN (floats)."""
    missing = values == NOTHING if values.dtype == np.int32 else np.isnan(values)
    return pa.array(values, mask=missing)


def identity_of(lookup: Lookup) -> str:
    """Digest of all that the answers of a look-up depend on: its data, its settings, its code."""
    content = json.dumps([lookup.identity(), fingerprint(inspect.getfile(type(lookup)))])
    return hashlib.sha256(content.encode()).hexdigest()


class _Cache:
    """Cached tables, and the row of each requested point in them (-1: not cached)."""

    def __init__(self, paths: Sequence[Path], latitude: np.ndarray, longitude: np.ndarray) -> None:
        self.paths = [path for path in paths if Path(path).exists()]
        self.row = np.full(len(latitude), -1, dtype=np.int64)
        self.identities: list[dict[str, str]] = []
        try:
            self.identities = [json.loads(tables.read_metadata(path, "measured")[IDENTITIES]) for path in self.paths]
            self.row = matches(latitude, longitude, self._read("latitude"), self._read("longitude"))
        except (HomingError, KeyError) as error:
            log.warning("the cache of look-ups is not used: %s", error)
            self.paths = []

    def is_valid(self, lookup: Lookup) -> bool:
        """True if every table holds this look-up, made from the same data by the same code."""
        return bool(self.paths) and all(found.get(lookup.name) == identity_of(lookup) for found in self.identities)

    def column(self, name: str) -> np.ndarray:
        """Return the column (n,) at the requested points; rows that are not cached are arbitrary."""
        values = self._read(name)
        return values[np.maximum(self.row, 0)] if len(values) else np.empty(len(self.row), column_type(name))

    def _read(self, name: str) -> np.ndarray:
        parts = [tables.read_arrow(path, "measured", [name])[name] for path in self.paths]
        values = pa.chunked_array(
            [chunk for part in parts for chunk in part.chunks], tables.SCHEMAS["measured"].field(name).type
        )
        if name in ("latitude", "longitude"):
            return values.to_numpy()
        missing = NOTHING if column_type(name) is np.int32 else np.nan
        return values.cast(pa.from_numpy_dtype(column_type(name))).fill_null(missing).to_numpy()
