"""Exact point in polygon for many points: a grid whose cells know their area, or the edges that decide it.

Almost every cell of a fine grid lies in one area, which is then the answer. The others keep the edges that pass through
them, and for each area whether it holds the cell's south-western corner. A path from that corner to the point, first
east, then north, crosses an odd number of an area's edges exactly when the point is on the other side of its border.
Edges are never cut or rounded, and on which side of an edge a point lies is decided without rounding errors, so that
the answer is that of exact arithmetic, borders included.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import shapely

from homing.labels.borders import nearest_borders
from homing.labels.cells import build, locate, meets

CELLS = 26_000_000  # of the finest grid: 0.05 degrees over the whole globe
CELLS_PER_VERTEX = 2
LEAST_CELLS = 250_000
MARGIN = 0.000_123_456_789  # grid lines lie off the round numbers that borders like
NOTHING = -1
DIGEST = "sha256"  # file of a saved grid


@dataclass(frozen=True)
class Grid:
    """Areas (by number, the order of their geometries) on a grid of longitudes and latitudes."""

    longitudes: np.ndarray  # float64 (columns + 1,): the grid's lines
    latitudes: np.ndarray  # float64 (rows + 1,)
    label: np.ndarray  # int32 (rows * columns,): the area of the whole cell, NOTHING, or -2 - number of a mixed cell
    cover: np.ndarray  # int32 (mixed,): first of the areas that hold all of a mixed cell, or NOTHING
    first: np.ndarray  # int64 (mixed + 1,): where the entries of a mixed cell begin
    area: np.ndarray  # int32 (entries,): an area with edges in the cell, ascending within a cell
    holds_corner: np.ndarray  # uint8 (entries,): whether it holds the south-western corner
    begin: np.ndarray  # int64 (entries + 1,): where its edges begin
    edge: np.ndarray  # int32 (edges,): vertex where an edge begins; it ends at the next one
    vertex: np.ndarray  # float64 (vertices, 2): longitude, latitude

    @classmethod
    def of(cls, geometries: np.ndarray, cells: int | None = None) -> "Grid":
        """The grid of valid polygons and multipolygons, (n,). `cells`: about how many, else by their vertices."""
        vertex, rings, areas = _ragged(geometries)
        if len(vertex) == 0:
            arrays = (np.zeros(1), np.zeros(1), *(np.zeros(n, t) for n, t in _EMPTY), vertex)
        else:
            wanted = cells or min(CELLS, max(LEAST_CELLS, CELLS_PER_VERTEX * len(vertex)))
            longitudes, latitudes = _lines(vertex, wanted)
            arrays = (longitudes, latitudes, *build(longitudes, latitudes, vertex, rings, areas), vertex)
        return cls(*map(_read_only, arrays))  # as those of a loaded one

    def locate(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Number of the first area that holds each point or has it on its border; NOTHING without one, int32 (n,)."""
        return locate(*_flat(longitude, latitude), *self._all())

    def nearest(self, latitude: np.ndarray, longitude: np.ndarray, limit_km: float) -> tuple[np.ndarray, np.ndarray]:
        """Number of the area whose border is nearest on the sphere, NOTHING beyond the limit, and its distance."""
        return nearest_borders(*_flat(longitude, latitude), float(limit_km), *self._all())[:2]

    def nearest_places(self, latitude: np.ndarray, longitude: np.ndarray, limit_km: float) -> np.ndarray:
        """Where the nearest border is: latitude and longitude (n, 2), NaN beyond the limit."""
        return nearest_borders(*_flat(longitude, latitude), float(limit_km), *self._all())[2][:, ::-1]

    def _all(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def save(self, folder: str | Path) -> None:
        """Write each array to a file of its own, so that processes can share them in memory, and a digest of all."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        for field, array in zip(fields(self), self._all(), strict=True):
            np.save(Path(folder) / f"{field.name}.npy", array)
            digest.update(np.ascontiguousarray(array).data)
        (Path(folder) / DIGEST).write_text(digest.hexdigest(), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "Grid":
        """The saved grid, mapped into memory: read on first use, and shared by all processes of a machine."""
        return cls(*(np.load(Path(folder) / f"{field.name}.npy", mmap_mode="r") for field in fields(cls)))


_EMPTY = ((0, np.int32), (0, np.int32), (1, np.int64), (0, np.int32), (0, np.uint8), (1, np.int64), (0, np.int32))


def _flat(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tuple(_read_only(np.ascontiguousarray(angles, dtype=np.float64)) for angles in (longitude, latitude))


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to: functions are compiled for arrays of either kind, so all are of one."""
    view = array.view()
    view.setflags(write=False)
    return view


def _ragged(geometries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (n, 2); where each ring begins; where each geometry's rings begin."""
    multi = np.asarray(geometries, dtype=object)
    if len(multi) == 0:
        return np.zeros((0, 2)), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    kind, vertex, offsets = shapely.to_ragged_array(multi, include_z=False)
    rings = offsets[0].astype(np.int64)
    areas = offsets[1] if kind == shapely.GeometryType.POLYGON else offsets[1][offsets[2]]
    return np.ascontiguousarray(vertex), rings, areas.astype(np.int64)


def _lines(vertex: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of about square cells around all vertices, none of them the latitude of a vertex."""
    low, high = vertex.min(axis=0), vertex.max(axis=0)
    extent = high - low + 2 * MARGIN
    step = max(np.sqrt(extent[0] * extent[1] / cells), extent.max() / 60_000)
    columns, rows = (int(np.ceil(length / step)) + 1 for length in extent)
    longitudes = low[0] - MARGIN + step * np.arange(columns + 1)
    offset = MARGIN
    while True:
        latitudes = low[1] - offset + step * np.arange(rows + 1)
        if not meets(latitudes, vertex):
            return longitudes, latitudes
        offset *= 0.9123456789
