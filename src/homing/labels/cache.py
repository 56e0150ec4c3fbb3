"""What was looked up before is not looked up again: a table of coordinates and answers, with what each depended on."""

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

IDENTITIES = b"homing.identities"  # key of the file's metadata


def measure_unknown(
    latitude: np.ndarray,
    longitude: np.ndarray,
    lookups: Sequence[Lookup],
    tables_of_known: Sequence[Path],
    **resources: int,
) -> dict[str, np.ndarray]:
    """All columns of all look-ups at points in the order of the curve, as `measure`; what is known is not looked up.

    tables_of_known: written by `write_known`, together in the order of the curve.
    """
    known = _Known(tables_of_known, latitude, longitude)
    valid = [lookup for lookup in lookups if known.holds(lookup)]
    others = [lookup for lookup in lookups if lookup not in valid]
    columns: dict[str, np.ndarray] = {}
    if others:
        log.info("%s: %d photos", ", ".join(lookup.name for lookup in others), len(latitude))
        columns |= measure(latitude, longitude, others, **resources)
    if valid:
        new = np.flatnonzero(known.place < 0)
        log.info(
            "%s: %d photos, %d known", ", ".join(lookup.name for lookup in valid), len(new), len(latitude) - len(new)
        )
        fresh = measure(latitude[new], longitude[new], valid, **resources)
        for name in fresh:
            columns[name] = known.column(name)
            columns[name][new] = fresh[name]
    return columns


def write_known(
    path: str | Path,
    latitude: np.ndarray,
    longitude: np.ndarray,
    columns: Mapping[str, np.ndarray],
    lookups: Sequence[Lookup],
) -> None:
    """The table `measured` of points in the order of the curve."""
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
    """A column with nulls where `column_type` has its sign for missing."""
    missing = values == NOTHING if values.dtype == np.int32 else np.isnan(values)
    return pa.array(values, mask=missing)


def identity_of(lookup: Lookup) -> str:
    """Digest of all that the answers of a look-up depend on: its data, its settings, its code."""
    content = json.dumps([lookup.identity(), fingerprint(inspect.getfile(type(lookup)))])
    return hashlib.sha256(content.encode()).hexdigest()


class _Known:
    """Tables of known points, and where in them each asked point stands (-1: nowhere)."""

    def __init__(self, paths: Sequence[Path], latitude: np.ndarray, longitude: np.ndarray) -> None:
        self.paths = [path for path in paths if Path(path).exists()]
        self.place = np.full(len(latitude), -1, dtype=np.int64)
        self.identities: list[dict[str, str]] = []
        try:
            self.identities = [json.loads(tables.read_metadata(path, "measured")[IDENTITIES]) for path in self.paths]
            self.place = matches(latitude, longitude, self._read("latitude"), self._read("longitude"))
        except (HomingError, KeyError) as error:
            log.warning("what was known is not used: %s", error)
            self.paths = []

    def holds(self, lookup: Lookup) -> bool:
        """Whether the tables have the answers of this look-up, as it would give them now."""
        return bool(self.paths) and all(found.get(lookup.name) == identity_of(lookup) for found in self.identities)

    def column(self, name: str) -> np.ndarray:
        """The column at the asked points; what is not known is to be filled in."""
        values = self._read(name)
        return values[np.maximum(self.place, 0)] if len(values) else np.empty(len(self.place), column_type(name))

    def _read(self, name: str) -> np.ndarray:
        parts = [tables.read_arrow(path, "measured", [name])[name] for path in self.paths]
        values = pa.chunked_array(
            [chunk for part in parts for chunk in part.chunks], tables.SCHEMAS["measured"].field(name).type
        )
        if name in ("latitude", "longitude"):
            return values.to_numpy()
        missing = NOTHING if column_type(name) is np.int32 else np.nan
        return values.cast(pa.from_numpy_dtype(column_type(name))).fill_null(missing).to_numpy()
