"""OPTICS density clusters (Ankerst et al. 1999) in compiled loops, with the same results as scikit-learn.

Any point may be the neighbour of any other, so the work is quadratic. Most of it is skipped for a whole block of points
at once, where the bounding box of the block shows that nothing would change.
"""

import numba
import numpy as np
from scipy.spatial import cKDTree
from sklearn.cluster import cluster_optics_xi

BLOCK = 32  # points
SLACK = 1e-9  # relative margin for rounding errors
DECIMALS = 1e15  # scikit-learn rounds distances to the 15 decimals of a float64


def optics_clusters(points: np.ndarray, min_samples: int, xi: float) -> np.ndarray:
    """Return cluster labels (n,) of points (n, d), -1 for noise, by the xi method. Needs n >= `min_samples`.

    Ordering and reachability are computed here; scikit-learn extracts the clusters from them.
    """
    ordering, reachability, predecessor = optics_order(points, min_samples)
    with np.errstate(divide="ignore", invalid="ignore"):  # ratios of distances that are 0
        labels, _ = cluster_optics_xi(
            reachability=reachability, predecessor=predecessor, ordering=ordering, min_samples=min_samples, xi=xi
        )
    return labels


def optics_order(points: np.ndarray, min_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ordering, reachability and predecessor, (n,) each, as sklearn.cluster.OPTICS does (Euclidean)."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    order = cKDTree(points, leafsize=BLOCK).indices  # an order in which neighbours are close
    sorted_points = points[order]
    low, high = _boxes(sorted_points)
    core = _core_distances(sorted_points, low, high, min_samples)
    row_order, reached, parent = _sweep(sorted_points, low, high, np.rint(core * DECIMALS) / DECIMALS, order)
    reachability, predecessor = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
    reachability[order] = reached
    predecessor[order] = np.where(parent < 0, -1, order[parent])
    return order[row_order], reachability, predecessor


@numba.njit(cache=True, nogil=True)
def _boxes(points):
    """Return the bounding box of each block: lowest and highest coordinates, (blocks, d) each."""
    blocks = (len(points) + BLOCK - 1) // BLOCK
    low, high = np.full((blocks, points.shape[1]), np.inf), np.full((blocks, points.shape[1]), -np.inf)
    for row in range(len(points)):
        for dimension in range(points.shape[1]):
            value = points[row, dimension]
            low[row // BLOCK, dimension] = min(low[row // BLOCK, dimension], value)
            high[row // BLOCK, dimension] = max(high[row // BLOCK, dimension], value)
    return low, high


@numba.njit(cache=True, nogil=True, inline="always")
def _nearest_and_farthest(point, low, high):
    """Return the squared distances from a point to the nearest and the farthest point of a box."""
    nearest, farthest = 0.0, 0.0
    for dimension in range(len(point)):
        below, above = low[dimension] - point[dimension], point[dimension] - high[dimension]
        gap = max(below, above, 0.0)
        nearest += gap * gap
        far = max(-below, -above)
        farthest += far * far
    return nearest, farthest


@numba.njit(cache=True, nogil=True, inline="always")
def _squared_distance(one, other):
    total = 0.0
    for dimension in range(len(one)):
        difference = other[dimension] - one[dimension]
        total += difference * difference
    return total


@numba.njit(cache=True, nogil=True)
def _core_distances(points, low, high, rank):
    """Return the distance of each point to its `rank`-th nearest neighbour, itself included.

    By the triangle inequality it differs from that of another point by at most their distance. Points that are surely
    nearer are only counted, and only those in the ring between the two bounds are ranked.
    """
    count = len(points)
    core, ring = np.empty(count), np.empty(count)
    for row in range(count):
        point = points[row]
        inner, outer = 0.0, np.inf
        for before in range(max(0, row - 2 * BLOCK), row):
            distance = np.sqrt(_squared_distance(point, points[before]))
            inner, outer = max(inner, core[before] - distance), min(outer, core[before] + distance)
        inner, outer = inner**2 * (1 - SLACK), outer**2 * (1 + SLACK)
        nearer, size = 0, 0
        for block in range(len(low)):
            begin, end = block * BLOCK, min((block + 1) * BLOCK, count)
            nearest, farthest = _nearest_and_farthest(point, low[block], high[block])
            if nearest > outer * (1 + SLACK):
                continue
            if farthest < inner * (1 - SLACK):
                nearer += end - begin
                continue
            for other in range(begin, end):
                square = _squared_distance(point, points[other])
                if square < inner:
                    nearer += 1
                elif square <= outer:
                    ring[size] = square
                    size += 1
        core[row] = np.sqrt(_select(ring[:size], rank - 1 - nearer))
    return core


@numba.njit(cache=True, nogil=True)
def _select(values, rank):
    """Return the value of a rank (from 0) by quickselect (Hoare 1961), which reorders `values`.

    np.partition does the same and takes seconds to compile.
    """
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while pivot < values[right]:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left, right = left + 1, right - 1
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            break
    return values[rank]


@numba.njit(cache=True, nogil=True)
def _sweep(points, low, high, core, number):
    """Return the OPTICS ordering of points, their reachability, and their predecessors (-1 without).

    The next point is always the one with the smallest reachability, and of equals the lowest `number`. A block is
    skipped if the newest point cannot lower the reachability of any of its points.
    """
    count, blocks = len(points), len(low)
    ordering = np.empty(count, dtype=np.int64)
    reachability, predecessor = np.full(count, np.inf), np.full(count, -1, dtype=np.int64)
    unprocessed = np.ones(count, dtype=np.bool_)
    farthest = np.full(blocks, np.inf)  # largest reachability of the unprocessed points in each block
    first = np.empty(blocks, dtype=np.int64)  # unprocessed point to be processed next in each block, -1 without
    for block in range(blocks):
        farthest[block], first[block] = _summarise_block(block, reachability, unprocessed, number)
    for position in range(count):
        best = -1
        for block in range(blocks):
            row = first[block]
            if row >= 0 and (best < 0 or _before(row, best, reachability, number)):
                best = row
        ordering[position] = best
        unprocessed[best] = False
        own, point, core_distance = best // BLOCK, points[best], core[best]
        for block in range(blocks):
            changed = block == own
            if first[block] >= 0 and core_distance < farthest[block]:
                nearest, _ = _nearest_and_farthest(point, low[block], high[block])
                if nearest * (1 - SLACK) < farthest[block] * farthest[block]:
                    for row in range(block * BLOCK, min((block + 1) * BLOCK, count)):
                        if unprocessed[row]:
                            distance = max(np.sqrt(_squared_distance(point, points[row])), core_distance)
                            distance = np.rint(distance * DECIMALS) / DECIMALS
                            if distance < reachability[row]:
                                reachability[row], predecessor[row] = distance, best
                                changed = True
            if changed:
                farthest[block], first[block] = _summarise_block(block, reachability, unprocessed, number)
    return ordering, reachability, predecessor


@numba.njit(cache=True, nogil=True, inline="always")
def _before(row, other, reachability, number):
    """True if a point is processed before another one."""
    if reachability[row] == reachability[other]:
        return number[row] < number[other]
    return reachability[row] < reachability[other]


@numba.njit(cache=True, nogil=True)
def _summarise_block(block, reachability, unprocessed, number):
    """Return the largest reachability of a block's unprocessed points, and the next of them (-1 without)."""
    farthest, first = -np.inf, -1
    for row in range(block * BLOCK, min((block + 1) * BLOCK, len(unprocessed))):
        if unprocessed[row]:
            farthest = max(farthest, reachability[row])
            if first < 0 or _before(row, first, reachability, number):
                first = row
    return farthest, first
