"""OPTICS density clusters (Ankerst et al. 1999), the same as scikit-learn's, in compiled loops.

Every point may be the neighbour of every other one, so the work is quadratic; but most of it is seen to change nothing
for a whole block of points at once, from the box that they lie in.
"""

import numba
import numpy as np
from scipy.spatial import cKDTree
from sklearn.cluster import cluster_optics_xi

BLOCK = 32  # points
SLACK = 1e-9  # of rounding
DECIMALS = 1e15  # scikit-learn rounds distances to as many digits as a float64 has


def optics_clusters(points: np.ndarray, min_samples: int, xi: float) -> np.ndarray:
    """Cluster labels (n,) of points (n, d), -1 for noise, by the xi method; needs at least `min_samples` points.

    The sweep is compiled, scikit-learn asks for one neighbourhood after the other; the extraction is its own.
    """
    ordering, reachability, predecessor = optics_order(points, min_samples)
    with np.errstate(divide="ignore", invalid="ignore"):  # points at one place are 0 apart
        labels, _ = cluster_optics_xi(
            reachability=reachability, predecessor=predecessor, ordering=ordering, min_samples=min_samples, xi=xi
        )
    return labels


def optics_order(points: np.ndarray, min_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordering, reachability and predecessor of each point, as sklearn.cluster.OPTICS gives them (Euclidean)."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    near = cKDTree(points, leafsize=BLOCK).indices  # points in an order in which neighbours follow each other
    sorted_points = points[near]
    low, high = _boxes(sorted_points)
    core = _core_distances(sorted_points, low, high, min_samples)
    place_order, reached, parent = _sweep(sorted_points, low, high, np.rint(core * DECIMALS) / DECIMALS, near)
    reachability, predecessor = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
    reachability[near] = reached
    predecessor[near] = np.where(parent < 0, -1, near[parent])
    return near[place_order], reachability, predecessor


@numba.njit(cache=True, nogil=True)
def _boxes(points):
    """Lowest and highest coordinates of each block."""
    blocks = (len(points) + BLOCK - 1) // BLOCK
    low, high = np.full((blocks, points.shape[1]), np.inf), np.full((blocks, points.shape[1]), -np.inf)
    for place in range(len(points)):
        for dimension in range(points.shape[1]):
            value = points[place, dimension]
            low[place // BLOCK, dimension] = min(low[place // BLOCK, dimension], value)
            high[place // BLOCK, dimension] = max(high[place // BLOCK, dimension], value)
    return low, high


@numba.njit(cache=True, nogil=True, inline="always")
def _nearest_and_farthest(point, low, high):
    """Squares of the distances from a point to a box."""
    nearest, farthest = 0.0, 0.0
    for dimension in range(len(point)):
        below, above = low[dimension] - point[dimension], point[dimension] - high[dimension]
        gap = max(below, above, 0.0)
        nearest += gap * gap
        reach = max(-below, -above)
        farthest += reach * reach
    return nearest, farthest


@numba.njit(cache=True, nogil=True, inline="always")
def _square(one, other):
    total = 0.0
    for dimension in range(len(one)):
        away = other[dimension] - one[dimension]
        total += away * away
    return total


@numba.njit(cache=True, nogil=True)
def _core_distances(points, low, high, rank):
    """Distance of each point to the `rank`-th nearest, itself included.

    It differs from that of another point by no more than the two are apart: all that is surely nearer is counted, and
    only what lies in the ring between is put in order.
    """
    count = len(points)
    core, ring = np.empty(count), np.empty(count)
    for place in range(count):
        point = points[place]
        inner, outer = 0.0, np.inf
        for before in range(max(0, place - 2 * BLOCK), place):
            apart = np.sqrt(_square(point, points[before]))
            inner, outer = max(inner, core[before] - apart), min(outer, core[before] + apart)
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
                square = _square(point, points[other])
                if square < inner:
                    nearer += 1
                elif square <= outer:
                    ring[size] = square
                    size += 1
        core[place] = np.sqrt(_of_rank(ring[:size], rank - 1 - nearer))
    return core


@numba.njit(cache=True, nogil=True)
def _of_rank(values, rank):
    """The value that is at place `rank` once they are in order, which they are brought nearer to (Hoare 1961, FIND).

    As np.partition, which takes seconds to compile.
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
    """Places in the order in which they are reached: always the one reached nearest, of equals the lowest number.

    A block is passed over when the newest place cannot bring any of its own nearer than they are.
    """
    count, blocks = len(points), len(low)
    ordering = np.empty(count, dtype=np.int64)
    reachability, predecessor = np.full(count, np.inf), np.full(count, -1, dtype=np.int64)
    waiting = np.ones(count, dtype=np.bool_)
    farthest = np.full(blocks, np.inf)  # that a place of the block which waits is reached from
    first = np.empty(blocks, dtype=np.int64)  # the place of the block to be reached next, -1 without
    for block in range(blocks):
        farthest[block], first[block] = _look(block, reachability, waiting, number)
    for position in range(count):
        best = -1
        for block in range(blocks):
            place = first[block]
            if place >= 0 and (best < 0 or _before(place, best, reachability, number)):
                best = place
        ordering[position] = best
        waiting[best] = False
        own, point, least = best // BLOCK, points[best], core[best]
        for block in range(blocks):
            changed = block == own
            if first[block] >= 0 and least < farthest[block]:
                nearest, _ = _nearest_and_farthest(point, low[block], high[block])
                if nearest * (1 - SLACK) < farthest[block] * farthest[block]:
                    for place in range(block * BLOCK, min((block + 1) * BLOCK, count)):
                        if waiting[place]:
                            away = max(np.sqrt(_square(point, points[place])), least)
                            away = np.rint(away * DECIMALS) / DECIMALS
                            if away < reachability[place]:
                                reachability[place], predecessor[place] = away, best
                                changed = True
            if changed:
                farthest[block], first[block] = _look(block, reachability, waiting, number)
    return ordering, reachability, predecessor


@numba.njit(cache=True, nogil=True, inline="always")
def _before(place, other, reachability, number):
    if reachability[place] == reachability[other]:
        return number[place] < number[other]
    return reachability[place] < reachability[other]


@numba.njit(cache=True, nogil=True)
def _look(block, reachability, waiting, number):
    """How far the last of a block's waiting places is reached from, and which is next, -1 when none waits."""
    farthest, first = -np.inf, -1
    for place in range(block * BLOCK, min((block + 1) * BLOCK, len(waiting))):
        if waiting[place]:
            farthest = max(farthest, reachability[place])
            if first < 0 or _before(place, first, reachability, number):
                first = place
    return farthest, first
