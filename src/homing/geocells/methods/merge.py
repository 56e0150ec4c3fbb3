"""Areas with too few photos join a neighbour in the same country, in the same region first."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import shapely

from homing.geocells.geometry.borders import shared_borders
from homing.sphere import unit_vectors


@dataclass
class Group:
    """Areas that are one cell so far: their rows, their photos, and borders shared with other groups (km or so)."""

    areas: list[int]
    photos: int
    region: str | None
    borders: dict[int, float] = field(default_factory=dict)


def merge_small(
    geometry: np.ndarray,
    regions: list[str | None],
    photos: np.ndarray,
    smallest: int,
    largest: int,
    too_wide: Callable[[list[int]], bool] = lambda areas: False,
    needy_first: bool = False,
) -> list[list[int]]:
    """Groups of area rows (each list sorted), every group with at least `smallest` photos unless it is the only one.

    The smallest group is merged first; it goes to the neighbour of the same region that stays within `largest`, with
    which it shares the longest border; a group without neighbours (an island) goes to the nearest one. Groups that
    would be too wide together stay apart, small as they may be, unless it has no photos. `needy_first`: neighbours that
    have too few photos too are preferred, and islands, which have the least choice, are merged first; more groups may
    be left then.
    """
    groups = {row: Group([row], int(photos[row]), regions[row]) for row in range(len(geometry))}
    for (one, other), length in shared_borders(geometry).items():
        groups[one].borders[other] = length
        groups[other].borders[one] = length
    middles = shapely.get_coordinates(shapely.point_on_surface(geometry))
    numbers = {region: number for number, region in enumerate(dict.fromkeys(regions))}
    areas = _Areas(
        unit_vectors(middles[:, 1], middles[:, 0]),
        np.arange(len(geometry)),
        np.array(photos, dtype=np.int64),
        np.array([numbers[region] for region in regions]),
    )

    def entry(row: int) -> tuple[bool, int, int]:
        return needy_first and bool(groups[row].borders), groups[row].photos, row

    queue = [entry(row) for row, group in groups.items() if group.photos < smallest]
    heapq.heapify(queue)
    while queue and len(groups) > 1:
        _, count, row = heapq.heappop(queue)
        if row not in groups or groups[row].photos != count:
            continue
        choice = _neighbours(groups, row, largest, areas, smallest if needy_first else 0)
        empty = not groups[row].photos  # makes nothing wider
        fits = (other for other in choice if empty or not too_wide(groups[row].areas + groups[other].areas))
        target = next(fits, None)
        if target is None:
            continue
        _absorb(groups, target, row)
        areas.joined(target, groups[target], numbers[groups[target].region])
        if groups[target].photos < smallest:
            heapq.heappush(queue, entry(target))
    return sorted(sorted(group.areas) for group in groups.values())


def _neighbours(groups: dict[int, Group], row: int, largest: int, areas: "_Areas", needy: int) -> list[int]:
    """The groups that one may join, best first; those below `needy` photos are better."""
    group = groups[row]

    def foreign(other: int) -> bool:
        return groups[other].region != group.region

    def too_large(other: int) -> bool:
        return groups[other].photos + group.photos > largest

    if group.borders:

        def order(other: int) -> tuple:
            sated = groups[other].photos >= needy
            return foreign(other), too_large(other), sated, -group.borders[other], other

        return sorted(group.borders, key=order)
    apart = np.linalg.norm(areas.middles - areas.middles[group.areas].mean(axis=0), axis=1)
    others = areas.group != row
    key = (
        areas.group, apart, areas.photos >= needy, areas.photos + group.photos > largest,
        areas.region != areas.region[row],
    )  # fmt: skip
    return list(dict.fromkeys(areas.group[others][np.lexsort([part[others] for part in key])].tolist()))


@dataclass
class _Areas:
    """Of each area: a point in it on the unit sphere, and the group it is in with that group's photos and region."""

    middles: np.ndarray
    group: np.ndarray
    photos: np.ndarray
    region: np.ndarray

    def joined(self, target: int, group: Group, number: int) -> None:
        """The areas of a group are now those of `target`."""
        self.group[group.areas], self.photos[group.areas], self.region[group.areas] = target, group.photos, number


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
