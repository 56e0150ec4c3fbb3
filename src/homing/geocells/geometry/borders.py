"""Neighbouring areas, and the length of their common border."""

import numpy as np
import shapely

from homing.sphere import haversine_km

TOUCHING_KM = 1e-6  # stands for the length of a border without a common edge


def shared_borders(geometry: np.ndarray) -> dict[tuple[int, int], float]:
    """Return the length in km of the common border of each pair of neighbours (lower row first).

    Areas of one source share edges vertex by vertex: equal edges are found by sorting. The neighbours of an area
    without shared edges, where sources meet or overlap, are the areas it touches, with a length of TOUCHING_KM.
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
    isolated = np.setdiff1d(np.arange(len(geometry)), np.concatenate([one, other]))
    if len(isolated):
        tree = shapely.STRtree(geometry)
        first, touched = tree.query(geometry[isolated], predicate="intersects")
        for row, neighbour in zip(isolated[first].tolist(), touched.tolist(), strict=True):
            if row != neighbour:
                found.setdefault((min(row, neighbour), max(row, neighbour)), TOUCHING_KM)
    return found


def _edges(geometry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all edges (n, 4: longitude and latitude of both ends, the smaller first) and the area of each, (n,)."""
    parts, part_owner = shapely.get_parts(geometry, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    vertex, ring = shapely.get_coordinates(rings, return_index=True)
    vertex = vertex + 0.0  # -0.0 becomes 0.0
    within = ring[1:] == ring[:-1]
    start, end = vertex[:-1][within], vertex[1:][within]
    swap = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
    start[swap], end[swap] = end[swap], start[swap].copy()
    return np.hstack([start, end]), part_owner[ring_part[ring[:-1][within]]]
