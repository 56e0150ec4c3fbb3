"""Dividing the photos of one cell: density clusters first (OPTICS), else the best straight cut.

All on unique coordinates with weights (photos at the coordinate), in a plane that touches the globe at the cell.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import cKDTree

from homing.optics import optics_clusters

LARGEST_CLUSTERED = 6000  # coordinates; OPTICS is quadratic, so a larger cell is cut in two first


def divide(
    plane: np.ndarray, weights: np.ndarray, smallest: int, largest: int, optics: Sequence[tuple[float, float]]
) -> tuple[np.ndarray, list[int]]:
    """Labels (u,) of groups of unique coordinates (u, 2) in km, each of `smallest` to `largest` photos.

    Also returns the labels of groups that stay above `largest` because no cut leaves `smallest` photos on both sides:
    one coordinate holds too many.
    """
    labels = np.zeros(len(plane), dtype=np.int64)
    indivisible: list[int] = []
    waiting = [np.arange(len(plane))]
    number = 0
    while waiting:
        members = waiting.pop()
        parts = None
        if weights[members].sum() > largest:
            parts = next(_splits(plane[members], weights[members], smallest, optics), None)
            if parts is None:
                indivisible.append(number)
        if parts is None:
            labels[members] = number
            number += 1
        else:
            waiting += [members[parts == part] for part in reversed(range(parts.max() + 1))]
    return labels, indivisible


def _splits(
    plane: np.ndarray, weights: np.ndarray, smallest: int, optics: Sequence[tuple[float, float]]
) -> Iterator[np.ndarray]:
    """Ways to part the coordinates into two or more groups of at least `smallest` photos, best first."""
    if len(plane) <= LARGEST_CLUSTERED:
        for min_samples, xi in optics:
            if len(plane) > 2 * int(min_samples):
                parts = grow_clusters(plane, weights, optics_clusters(plane, int(min_samples), xi), smallest)
                if parts is not None:
                    yield parts
    parts = straight_cut(plane, weights, smallest)
    if parts is not None:
        yield parts


def grow_clusters(plane: np.ndarray, weights: np.ndarray, clusters: np.ndarray, smallest: int) -> np.ndarray | None:
    """Parts 0..k-1 (k >= 2) of at least `smallest` photos: the large enough clusters, and the rest if it is one too.

    Where the rest is too small its points join the nearest cluster. None when that leaves fewer than two parts.
    """
    sizes = {label: weights[clusters == label].sum() for label in np.unique(clusters) if label >= 0}
    kept = [label for label, size in sizes.items() if size >= smallest]
    parts = np.full(len(plane), -1)
    for part, label in enumerate(kept):
        parts[clusters == label] = part
    rest = parts < 0
    if not kept or len(kept) + (weights[rest].sum() >= smallest) < 2:
        return None
    if weights[rest].sum() >= smallest:
        parts[rest] = len(kept)
    elif rest.any():
        parts[rest] = parts[~rest][cKDTree(plane[~rest]).query(plane[rest])[1]]
    return parts


def straight_cut(plane: np.ndarray, weights: np.ndarray, smallest: int) -> np.ndarray | None:
    """Two parts on either side of a line across the longest axis, as equal as can be with `smallest` photos each."""
    centred = plane - np.average(plane, axis=0, weights=weights)
    values, axes = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    for axis in np.argsort(-values):
        direction = axes[:, axis]
        # The sign of an eigenvector is arbitrary: fix it, so that the parts are numbered alike everywhere.
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        along = centred @ direction
        order = np.lexsort((plane[:, 1], plane[:, 0], along))
        below = np.cumsum(weights[order])[:-1]
        possible = np.flatnonzero((below >= smallest) & (below <= weights.sum() - smallest))
        if len(possible):
            cut = possible[np.abs(below[possible] - weights.sum() / 2).argmin()]
            parts = np.ones(len(plane), dtype=np.int64)
            parts[order[: cut + 1]] = 0
            return parts
    return None
