"""Which areas are neighbours, and how long their common border is."""

import numpy as np
import shapely

from homing.sphere import haversine_km

LEAST_KM = 1e-6  # of areas that meet without a common edge


def shared_borders(geometry: np.ndarray) -> dict[tuple[int, int], float]:
    """Length in km of the border that each pair of areas (lower row first) shares.

    Areas of one source share their edges, vertex by vertex: equal edges are found by sorting. An area that shares none,
    where sources meet or overlap, has those it touches for neighbours, as good as without a length.
    """
    edges, owner = _edges(geometry)
    order = np.lexsort(edges.T[::-1])
    edges, owner = edges[order], owner[order]
    same = (edges[1:] == edges[:-1]).all(axis=1) & (owner[1:] != owner[:-1])
    one, other = np.sort(np.stack([owner[:-1][same], owner[1:][same]]), axis=0)
    length = haversine_km(*edges[:-1][same].T[[1, 0, 3, 2]])
    pair, number = np.unique(one * len(geometry) + other, return_inverse=True)
    lengths = np.bincount(number, weights=length, minlength=len(pair))
    found = dict(
        zip(
            zip((pair // len(geometry)).tolist(), (pair % len(geometry)).tolist(), strict=True),
            lengths.tolist(),
            strict=True,
        )
    )
    alone = np.setdiff1d(np.arange(len(geometry)), np.concatenate([one, other]))
    if len(alone):
        tree = shapely.STRtree(geometry)
        first, touched = tree.query(geometry[alone], predicate="intersects")
        for row, neighbour in zip(alone[first].tolist(), touched.tolist(), strict=True):
            if row != neighbour:
                found.setdefault((min(row, neighbour), max(row, neighbour)), LEAST_KM)
    return found


def _edges(geometry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All edges (n, 4: longitude and latitude of both ends, the lower end first) and the row of each one's area."""
    parts, part_owner = shapely.get_parts(geometry, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    vertex, ring = shapely.get_coordinates(rings, return_index=True)
    vertex = vertex + 0.0  # -0.0 is 0.0
    within = ring[1:] == ring[:-1]
    start, end = vertex[:-1][within], vertex[1:][within]
    swap = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
    start[swap], end[swap] = end[swap], start[swap].copy()
    return np.hstack([start, end]), part_owner[ring_part[ring[:-1][within]]]
