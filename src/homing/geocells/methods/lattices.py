"""Lattices that ignore borders: S2 cells as in PlaNet, H3 hexagons, and the quadtree of OpenStreetView-5M."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import h3.api.numpy_int as h3
import numpy as np
import shapely
from scipy.spatial import cKDTree

from homing.geocells.geometry import s2
from homing.geocells.geometry.outlines import outlines
from homing.sphere import unit_vectors

FINEST_H3 = 15


@dataclass(frozen=True)
class Lattice:
    """The cells of a lattice that contain photos."""

    key: np.ndarray  # (cells,) name of each cell, sorted: S2 token, H3 index, or "q" and the path in the quadtree
    polygon: np.ndarray  # (cells,) shapely, EPSG:4326, within [-180, 180] x [-90, 90]
    cell: np.ndarray  # (n,) number of the cell of each photo


def s2_cells(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any]) -> Lattice:
    """Return S2 cells of many sizes, as in PlaNet (Weyand, Kostrikov, Philbin 2016).

    Starting from the six faces of the cube, a cell with more than `max_photos` photos is split into its four children,
    down to level `s2_level` (0..30). PlaNet drops cells with fewer than `min_photos` photos, and their photos; here
    such a photo is assigned to the kept cell with the nearest centre. If no cell has enough, the fullest is kept.
    """
    vectors = unit_vectors(latitude, longitude)
    leaf = s2.leaf_cells(vectors)
    position = s2.positions(*leaf, settings["s2_level"])
    first, level, cell = split_crowded(position, settings["s2_level"], settings["max_photos"])
    photos = np.bincount(cell)
    kept = photos >= settings["min_photos"]
    kept[photos.argmax()] |= not kept.any()
    position, level = position[first[kept]] >> 2 * (settings["s2_level"] - level[kept]), level[kept]
    square = *(coordinate[first[kept]] for coordinate in leaf), level
    number = np.cumsum(kept) - 1
    dropped = np.flatnonzero(~kept[cell])
    cell = number[cell]
    cell[dropped] = cKDTree(s2.centres(*square)).query(vectors[dropped])[1]
    polygons = outlines(s2.corners(*square).reshape(-1, 3), np.repeat(np.arange(len(level)), 4))
    return Lattice(s2.tokens(position, level), polygons, cell)


def h3_cells(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any]) -> Lattice:
    """Return the hexagons and pentagons of one resolution of Uber's H3 that contain a photo.

    h3_resolution: 0..15; None: the `fitting_resolution` for a mean of `max_photos` photos per cell.
    """
    resolution = settings["h3_resolution"]
    if resolution is None:
        resolution = fitting_resolution(latitude, longitude, len(latitude) / settings["max_photos"])
    index, cell = np.unique(h3_index(latitude, longitude, resolution), return_inverse=True)
    names = np.array([h3.int_to_str(name) for name in index.tolist()])
    boundaries = [h3.cell_to_boundary(name) for name in index.tolist()]
    owner = np.repeat(np.arange(len(index)), [len(boundary) for boundary in boundaries])
    corners = unit_vectors(*np.array([corner for boundary in boundaries for corner in boundary]).T)
    return Lattice(names, outlines(corners, owner), cell)


def h3_index(latitude: np.ndarray, longitude: np.ndarray, resolution: int) -> np.ndarray:
    """Return the H3 cell of each point, uint64 (n,)."""
    cells = map(h3.latlng_to_cell, latitude.tolist(), longitude.tolist(), repeat(resolution))
    return np.fromiter(cells, dtype=np.uint64, count=len(latitude))


def fitting_resolution(latitude: np.ndarray, longitude: np.ndarray, cells: float) -> int:
    """Return the H3 resolution whose number of occupied cells is nearest to `cells` as a ratio; the coarser of two."""
    resolution = max((finer for finer in range(FINEST_H3 + 1) if h3.get_num_cells(finer) < cells), default=0)
    occupied = {}
    for candidate in range(resolution, FINEST_H3 + 1):
        occupied[candidate] = len(np.unique(h3_index(latitude, longitude, candidate)))
        if occupied[candidate] >= cells:
            break
    return min(occupied, key=lambda candidate: abs(np.log(occupied[candidate] / cells)))


def quadtree_cells(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any]) -> Lattice:
    """Return boxes of longitude and latitude, as in OpenStreetView-5M (Astruc et al. 2024, quadtree "10/1000").

    A box with more than `max_photos` photos is split into four equal ones, down to `quadtree_depth` (0..30) splits;
    each box that contains a photo is a cell. The first box is the globe (theirs is the bounding box of their photos,
    and they also split at exactly 1000 photos). The digits of a path are 0 south-west, 1 south-east, 2 north-west,
    3 north-east. A photo on a border belongs to the box north or east of it.
    """
    depth = settings["quadtree_depth"]
    row, column = grid_number((latitude + 90) / 180, depth), grid_number((longitude + 180) / 360, depth)
    first, level, cell = split_crowded(interleaved(row, column, depth), depth, settings["max_photos"])
    row, column = row[first] >> depth - level, column[first] >> depth - level
    keys = [
        "q" + "".join(str((north >> bit & 1) << 1 | east >> bit & 1) for bit in reversed(range(deep)))
        for north, east, deep in zip(row.tolist(), column.tolist(), level.tolist(), strict=True)
    ]
    height = 180 * 0.5**level
    south, west = row * height - 90, column * 2 * height - 180
    return Lattice(np.array(keys), shapely.box(west, south, west + 2 * height, south + height), cell)


def grid_number(share: np.ndarray, depth: int) -> np.ndarray:
    """Return which of 2**depth equal intervals of [0, 1] contains each share, (n,); borders belong to the upper one."""
    return np.minimum((share * 2**depth).astype(np.int64), 2**depth - 1)


def interleaved(row: np.ndarray, column: np.ndarray, bits: int) -> np.ndarray:
    """Interleave the bits of row and column (n,); shifted right by 2, a code is that of the parent."""
    code = np.zeros_like(row)
    for bit in range(bits):
        code |= ((row >> bit & 1) << 1 | column >> bit & 1) << 2 * bit
    return code


def split_crowded(code: np.ndarray, depth: int, max_photos: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split quadtree cells with more than `max_photos` photos, down to level `depth`.

    code: (n,) number of each photo's cell at level `depth`; shifted right by 2, that of the parent.
    Returns a photo of each leaf and its level, (leaves,) each in the order of the codes, and the leaf of each photo.
    """
    order = np.argsort(code, kind="stable")
    code = code[order]
    level, crowded = np.zeros(len(code), dtype=np.int64), np.arange(len(code))
    for deeper in range(1, depth + 1):
        photos = run_lengths(code[crowded] >> 2 * (depth - deeper + 1))
        crowded = crowded[np.repeat(photos > max_photos, photos)]
        level[crowded] = deeper
    leaf = code >> 2 * (depth - level)
    begins = np.append(True, (np.diff(leaf) != 0) | (np.diff(level) != 0))
    cell = np.empty(len(code), dtype=np.int64)
    cell[order] = np.cumsum(begins) - 1
    return order[begins], level[begins], cell


def run_lengths(values: np.ndarray) -> np.ndarray:
    """Return the lengths of the runs of equal values in a sorted array."""
    return np.diff(np.flatnonzero(np.diff(values, prepend=-1, append=-1)))
