"""OPTICS density clusters (Ankerst et al. 1999), the same as scikit-learn's, with whole rows of distances at once."""

import numpy as np
from scipy.spatial import cKDTree
from sklearn.cluster import cluster_optics_xi


def optics_clusters(plane: np.ndarray, min_samples: int, xi: float) -> np.ndarray:
    """Cluster labels (n,) of points (n, d), -1 for noise, by the xi method; needs at least `min_samples` points.

    The sweep takes whole rows of distances where scikit-learn asks for neighbourhoods; the extraction is its own.
    """
    ordering, reachability, predecessor = optics_order(plane, min_samples)
    with np.errstate(divide="ignore", invalid="ignore"):  # points at one place are 0 apart
        labels, _ = cluster_optics_xi(
            reachability=reachability, predecessor=predecessor, ordering=ordering, min_samples=min_samples, xi=xi
        )
    return labels


def optics_order(plane: np.ndarray, min_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordering, reachability and predecessor of each point, as sklearn.cluster.OPTICS gives them (Euclidean)."""
    count = len(plane)
    decimals = np.finfo(np.float64).precision
    core = np.around(cKDTree(plane).query(plane, k=min_samples)[0].reshape(count, -1)[:, -1], decimals)
    reachability = np.full(count, np.inf)
    predecessor = np.full(count, -1)
    ordering = np.empty(count, dtype=np.int64)
    pending = np.ones(count, dtype=bool)
    for position in range(count):
        point = int(np.where(pending, reachability, np.inf).argmin())
        if not pending[point]:
            point = int(pending.argmax())
        pending[point] = False
        ordering[position] = point
        distance = np.sqrt(((plane - plane[point]) ** 2).sum(axis=1))
        reached = np.around(np.maximum(distance, core[point]), decimals)
        nearer = pending & (reached < reachability)
        reachability[nearer] = reached[nearer]
        predecessor[nearer] = point
    return ordering, reachability, predecessor
