"""OPTICS density clusters (Ankerst et al. 1999), the same as scikit-learn's, in compiled loops."""

import numba
import numpy as np
from scipy.spatial import cKDTree
from sklearn.cluster import cluster_optics_xi

SLACK = 1e-9  # of rounding
DECIMALS = 1e15  # scikit-learn rounds distances to as many digits as a float64 has


def optics_clusters(plane: np.ndarray, min_samples: int, xi: float) -> np.ndarray:
    """Cluster labels (n,) of points (n, d), -1 for noise, by the xi method; needs at least `min_samples` points.

    The sweep is compiled, scikit-learn asks for one neighbourhood after the other; the extraction is its own.
    """
    ordering, reachability, predecessor = optics_order(plane, min_samples)
    with np.errstate(divide="ignore", invalid="ignore"):  # points at one place are 0 apart
        labels, _ = cluster_optics_xi(
            reachability=reachability, predecessor=predecessor, ordering=ordering, min_samples=min_samples, xi=xi
        )
    return labels


def optics_order(plane: np.ndarray, min_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordering, reachability and predecessor of each point, as sklearn.cluster.OPTICS gives them (Euclidean)."""
    plane = np.ascontiguousarray(plane, dtype=np.float64)
    core = core_distances(plane, min_samples)
    return _sweep(np.ascontiguousarray(plane.T), np.rint(core * DECIMALS) / DECIMALS)


def core_distances(plane: np.ndarray, min_samples: int) -> np.ndarray:
    """Distance (n,) from each point (n, d) to its nearest `min_samples`, itself included."""
    order = cKDTree(plane).indices  # neighbours follow each other
    found = np.empty(len(plane))
    found[order] = _core_distances(np.ascontiguousarray(plane[order].T), min_samples)
    return found


@numba.njit(cache=True, nogil=True)
def _core_distances(columns, rank):
    """Distance of each point to the `rank`-th nearest.

    It differs from that of the point before by no more than the two are apart: all that is nearer is counted, and only
    what lies in this ring is put in order.
    """
    dimensions, count = columns.shape
    core = np.empty(count)
    squares, ring = np.empty(count), np.empty(count)
    low, high = 0.0, np.inf
    for point in range(count):
        squares[:] = 0.0
        for dimension in range(dimensions):
            here = columns[dimension, point]
            for other in range(count):
                away = columns[dimension, other] - here
                squares[other] += away * away
        if point:
            apart = np.sqrt(squares[point - 1])
            low, high = (core[point - 1] - apart) * (1 - SLACK), (core[point - 1] + apart) * (1 + SLACK)
        least, most = max(low, 0.0) ** 2, high**2
        nearer = 0
        for other in range(count):
            nearer += squares[other] < least
        size = 0
        for other in range(count):
            if least <= squares[other] <= most:
                ring[size] = squares[other]
                size += 1
        core[point] = np.sqrt(np.partition(ring[:size], rank - 1 - nearer)[rank - 1 - nearer])
    return core


@numba.njit(cache=True, nogil=True)
def _sweep(columns, core):
    """Points in the order in which they are reached: always the one reached nearest, of equals the first.

    Those that wait are kept in rows without gaps, closed up each time half of them have gone.
    """
    dimensions, count = columns.shape
    ordering = np.empty(count, dtype=np.int64)
    reachability, predecessor = np.full(count, np.inf), np.full(count, -1, dtype=np.int64)
    waiting = np.arange(count)
    places, reached, parent = columns.copy(), np.full(count, np.inf), np.full(count, -1, dtype=np.int64)
    gone = np.zeros(count, dtype=np.bool_)
    distance = np.empty(count)
    size = left = count
    best = 0
    for position in range(count):
        point = waiting[best]
        ordering[position], reachability[point], predecessor[point] = point, reached[best], parent[best]
        gone[best] = True
        reached[best] = np.inf
        left -= 1
        if left * 2 < size and size > 64:
            kept = 0
            for place in range(size):
                if not gone[place]:
                    waiting[kept], reached[kept], parent[kept] = waiting[place], reached[place], parent[place]
                    for dimension in range(dimensions):
                        places[dimension, kept] = places[dimension, place]
                    gone[kept] = False
                    kept += 1
            size = kept
        distance[:size] = 0.0
        for dimension in range(dimensions):
            here = columns[dimension, point]
            for place in range(size):
                away = places[dimension, place] - here
                distance[place] += away * away
        least, nearest = core[point], np.inf
        best = -1
        for place in range(size):
            away = max(np.sqrt(distance[place]), least)
            away = np.rint(away * DECIMALS) / DECIMALS
            if not gone[place]:
                if away < reached[place]:
                    reached[place], parent[place] = away, point
                if best < 0 or reached[place] < nearest:
                    nearest, best = reached[place], place
    return ordering, reachability, predecessor
