"""Areas with too few photos join a neighbour in the same country, in the same region first."""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import shapely

from homing.sphere import unit_vectors


@dataclass
class Group:
    """Areas that are one cell so far: their rows, their photos, and borders shared with other groups (km or so)."""

    areas: list[int]
    photos: int
    region: str | None
    borders: dict[int, float] = field(default_factory=dict)


def merge_small(
    geometry: np.ndarray, regions: list[str | None], photos: np.ndarray, smallest: int, largest: int
) -> list[list[int]]:
    """Groups of area rows (each list sorted), every group with at least `smallest` photos unless it is the only one.

    The smallest group is merged first; it goes to the neighbour of the same region that stays within `largest`, with
    which it shares the longest border; a group without neighbours (an island) goes to the nearest one.
    """
    groups = {row: Group([row], int(photos[row]), regions[row]) for row in range(len(geometry))}
    for (one, other), length in shared_borders(geometry).items():
        groups[one].borders[other] = length
        groups[other].borders[one] = length
    middles = shapely.get_coordinates(shapely.point_on_surface(geometry))
    vectors = unit_vectors(middles[:, 1], middles[:, 0])
    queue = [(group.photos, row) for row, group in groups.items() if group.photos < smallest]
    heapq.heapify(queue)
    while queue and len(groups) > 1:
        count, row = heapq.heappop(queue)
        if row not in groups or groups[row].photos != count:
            continue
        target = _best_neighbour(groups, row, largest, vectors)
        _absorb(groups, target, row)
        if groups[target].photos < smallest:
            heapq.heappush(queue, (groups[target].photos, target))
    return sorted(sorted(group.areas) for group in groups.values())


def _best_neighbour(groups: dict[int, Group], row: int, largest: int, vectors: np.ndarray) -> int:
    group = groups[row]

    def foreign(other: int) -> bool:
        return groups[other].region != group.region

    def too_large(other: int) -> bool:
        return groups[other].photos + group.photos > largest

    if group.borders:
        return min(group.borders, key=lambda other: (foreign(other), too_large(other), -group.borders[other], other))
    middle = vectors[group.areas].mean(axis=0)

    def apart(other: int) -> float:
        return float(np.linalg.norm(vectors[groups[other].areas] - middle, axis=1).min())

    others = [other for other in groups if other != row]
    return min(others, key=lambda other: (foreign(other), too_large(other), apart(other), other))


def _absorb(groups: dict[int, Group], target: int, row: int) -> None:
    gone, kept = groups.pop(row), groups[target]
    if gone.photos > kept.photos:
        kept.region = gone.region
    kept.areas += gone.areas
    kept.photos += gone.photos
    for other, length in gone.borders.items():
        groups_other = groups.get(other)
        if groups_other is None:
            continue
        groups_other.borders.pop(row, None)
        if other != target:
            kept.borders[other] = kept.borders.get(other, 0.0) + length
            groups_other.borders[target] = kept.borders[other]
    kept.borders.pop(row, None)


def shared_borders(geometry: np.ndarray) -> dict[tuple[int, int], float]:
    """Length (degrees) of the border that pairs of areas share; touching at a point, or overlapping, counts little."""
    one, other = shapely.STRtree(geometry).query(geometry, predicate="intersects")
    pairs = one < other
    one, other = one[pairs], other[pairs]
    boundary = shapely.boundary(geometry)
    lengths: dict[tuple[int, int], float] = defaultdict(float)
    common = shapely.length(shapely.intersection(boundary[one], boundary[other]))
    for first, second, length in zip(one.tolist(), other.tolist(), common.tolist(), strict=True):
        lengths[first, second] = max(length, 1e-9)
    return dict(lengths)
