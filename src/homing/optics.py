"""OPTICS density clusters (Ankerst et al. 1999), the same as scikit-learn's, in compiled loops."""

import numba
import numpy as np
from scipy.spatial import cKDTree
from sklearn.cluster import cluster_optics_xi

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
    core = cKDTree(plane).query(plane, k=[min_samples])[0][:, 0]
    return _sweep(np.ascontiguousarray(plane.T), np.rint(core * DECIMALS) / DECIMALS)


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
