"""Exact point in polygon for many points: a grid whose cells store their area, or the edges that decide it.

Almost every cell of a fine grid lies in a single area, which is then the answer. A mixed cell stores the edges that
pass through it, and for each of their areas whether it contains the cell's south-western corner. The path from that
corner to a point, first east, then north, crosses an odd number of an area's edges exactly if one of its two ends is
inside. Edges are never clipped or rounded, and the orientation predicate is exact, so the answer is that of exact
arithmetic, borders included.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import shapely

from homing.labels.borders import nearest_borders
from homing.labels.cells import any_vertex_on_line, build, locate

MAX_CELLS = 26_000_000  # 0.05 degrees over the whole globe
CELLS_PER_VERTEX = 2
MIN_CELLS = 250_000
MARGIN = 0.000_123_456_789  # degrees; keeps grid lines off the round numbers on which borders often lie
NOTHING = -1
DIGEST = "sha256"  # name of the file in a saved grid that holds its digest


@dataclass(frozen=True)
class Grid:
    """Areas on a grid of longitudes and latitudes; an area's number is its row among the geometries."""

    longitudes: np.ndarray  # float64 (columns + 1,): lines of the grid
    latitudes: np.ndarray  # float64 (rows + 1,)
    label: np.ndarray  # int32 (rows * columns,): area of the whole cell, NOTHING, or -2 - number of a mixed cell
    cover: np.ndarray  # int32 (mixed,): first area that contains all of a mixed cell, or NOTHING
    first: np.ndarray  # int64 (mixed + 1,): offset of the entries of each mixed cell
    area: np.ndarray  # int32 (entries,): area with edges in the cell, ascending within a cell
    holds_corner: np.ndarray  # uint8 (entries,): 1 if it contains the south-western corner
    begin: np.ndarray  # int64 (entries + 1,): offset of its edges
    edge: np.ndarray  # int32 (edges,): vertex at which an edge starts; it ends at the next one
    vertex: np.ndarray  # float64 (vertices, 2): longitude, latitude

    @classmethod
    def of(cls, geometries: np.ndarray, cells: int | None = None) -> "Grid":
        """Build the grid of valid polygons and multipolygons (n,). `cells`: about how many; None: by their vertices."""
        vertex, rings, areas = _ragged(geometries)
        if len(vertex) == 0:
            arrays = (np.zeros(1), np.zeros(1), *(np.zeros(n, t) for n, t in _EMPTY_ARRAYS), vertex)
        else:
            wanted = cells or min(MAX_CELLS, max(MIN_CELLS, CELLS_PER_VERTEX * len(vertex)))
            longitudes, latitudes = _lines(vertex, wanted)
            arrays = (longitudes, latitudes, *build(longitudes, latitudes, vertex, rings, areas), vertex)
        return cls(*map(_read_only, arrays))  # as the arrays of a loaded grid are

    def locate(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Return the first area that contains each point, inside or on its border, or NOTHING; int32 (n,)."""
        return locate(*_flat(longitude, latitude), *self._arrays())

    def nearest(self, latitude: np.ndarray, longitude: np.ndarray, limit_km: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the area with the nearest border on the sphere (NOTHING beyond the limit) and its distance in km."""
        return nearest_borders(*_flat(longitude, latitude), float(limit_km), *self._arrays())[:2]

    def nearest_places(self, latitude: np.ndarray, longitude: np.ndarray, limit_km: float) -> np.ndarray:
        """Return latitude and longitude (n, 2) of the nearest point on any border; NaN beyond the limit."""
        return nearest_borders(*_flat(longitude, latitude), float(limit_km), *self._arrays())[2][:, ::-1]

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def save(self, folder: str | Path) -> None:
        """Write each array to its own file, which processes can map into shared memory, and a digest of all."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        for field, array in zip(fields(self), self._arrays(), strict=True):
            np.save(Path(folder) / f"{field.name}.npy", array)
            digest.update(np.ascontiguousarray(array).data)
        (Path(folder) / DIGEST).write_text(digest.hexdigest(), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "Grid":
        """Map a saved grid into memory: pages are read on first use and shared by all processes of a machine."""
        return cls(*(np.load(Path(folder) / f"{field.name}.npy", mmap_mode="r") for field in fields(cls)))


_EMPTY_ARRAYS = (
    (0, np.int32),
    (0, np.int32),
    (1, np.int64),
    (0, np.int32),
    (0, np.uint8),
    (1, np.int64),
    (0, np.int32),
)


def _flat(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = (_read_only(np.ascontiguousarray(angles, dtype=np.float64)) for angles in (longitude, latitude))
    return x, y


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only view. Numba compiles once more for writable arrays, so all arrays are made read-only."""
    view = array.view()
    view.setflags(write=False)
    return view


def _ragged(geometries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices (n, 2), the offset of each ring in them, and the offset of each geometry in the rings."""
    shapes = np.asarray(geometries, dtype=object)
    if len(shapes) == 0:
        return np.zeros((0, 2)), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    kind, vertex, offsets = shapely.to_ragged_array(shapes, include_z=False)
    rings = offsets[0].astype(np.int64)
    areas = offsets[1] if kind == shapely.GeometryType.POLYGON else offsets[1][offsets[2]]
    return np.ascontiguousarray(vertex), rings, areas.astype(np.int64)


def _lines(vertex: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines of about square cells around all vertices; no vertex lies on a line of latitude."""
    low, high = vertex.min(axis=0), vertex.max(axis=0)
    extent = high - low + 2 * MARGIN
    step = max(np.sqrt(extent[0] * extent[1] / cells), extent.max() / 60_000)
    columns, rows = (int(np.ceil(length / step)) + 1 for length in extent)
    longitudes = low[0] - MARGIN + step * np.arange(columns + 1)
    offset = MARGIN
    while True:
        latitudes = low[1] - offset + step * np.arange(rows + 1)
        if not any_vertex_on_line(latitudes, vertex):
            return longitudes, latitudes
        offset *= 0.9123456789
