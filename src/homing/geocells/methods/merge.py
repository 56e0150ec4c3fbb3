"""Merge areas that have too few photos into a neighbour, one of the same region first."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from homing.geocells.geometry.borders import shared_borders
from homing.sphere import unit_vectors


@dataclass
class Group:
    """Areas merged so far: their rows, photos and region, and the length in km of borders with other groups."""

    areas: list[int]
    photos: int
    region: str | None
    borders: dict[int, float] = field(default_factory=dict)


def merge_small(
    geometry: np.ndarray,
    regions: Sequence[str | None],
    photos: np.ndarray,
    min_photos: int,
    max_photos: int,
    too_wide: Callable[[list[int]], bool] = lambda areas: False,
    prefer_small: bool = False,
) -> list[list[int]]:
    """Return groups of area rows (each sorted) with at least `min_photos` photos each, or one group of all.

    geometry, regions, photos: (n,) of each area. The group with fewest photos is merged first, into the neighbour of
    the same region with the longest common border, preferably one that stays within `max_photos`. A group without
    neighbours (an island) joins the nearest group. Groups for whose rows together `too_wide` is true stay apart, even
    with too few photos; a group without photos may join any. prefer_small: islands, which have the least choice, are
    merged first, and groups prefer neighbours that have too few photos too; this may leave more groups.
    """
    groups = {row: Group([row], int(photos[row]), regions[row]) for row in range(len(geometry))}
    for (one, other), length in shared_borders(geometry).items():
        groups[one].borders[other] = length
        groups[other].borders[one] = length
    inner = shapely.get_coordinates(shapely.point_on_surface(geometry))
    numbers = {region: number for number, region in enumerate(dict.fromkeys(regions))}
    areas = _Areas(
        unit_vectors(inner[:, 1], inner[:, 0]),
        np.arange(len(geometry)),
        np.array(photos, dtype=np.int64),
        np.array([numbers[region] for region in regions]),
    )

    def priority(row: int) -> tuple[bool, int, int]:
        return prefer_small and bool(groups[row].borders), groups[row].photos, row

    queue = [priority(row) for row, group in groups.items() if group.photos < min_photos]
    heapq.heapify(queue)
    while queue and len(groups) > 1:
        _, count, row = heapq.heappop(queue)
        if row not in groups or groups[row].photos != count:
            continue  # merged since, or queued again with more photos
        choice = _neighbours(groups, row, max_photos, areas, min_photos if prefer_small else 0)
        empty = not groups[row].photos  # makes no group wider
        fits = (other for other in choice if empty or not too_wide(groups[row].areas + groups[other].areas))
        target = next(fits, None)
        if target is None:
            continue
        _absorb(groups, target, row)
        areas.update(target, groups[target], numbers[groups[target].region])
        if groups[target].photos < min_photos:
            heapq.heappush(queue, priority(target))
    return sorted(sorted(group.areas) for group in groups.values())


def _neighbours(groups: dict[int, Group], row: int, max_photos: int, areas: "_Areas", enough: int) -> list[int]:
    """Return the groups that a group may join, the best first; those with fewer than `enough` photos are preferred."""
    group = groups[row]

    def preference(other: int) -> tuple[bool, bool, bool, float, int]:
        neighbour = groups[other]
        too_large = neighbour.photos + group.photos > max_photos
        return neighbour.region != group.region, too_large, neighbour.photos >= enough, -group.borders[other], other

    if group.borders:
        return sorted(group.borders, key=preference)
    distance = np.linalg.norm(areas.inner - areas.inner[group.areas].mean(axis=0), axis=1)
    others = areas.group != row
    key = (
        areas.group, distance, areas.photos >= enough, areas.photos + group.photos > max_photos,
        areas.region != areas.region[row],
    )  # fmt: skip
    return list(dict.fromkeys(areas.group[others][np.lexsort([part[others] for part in key])].tolist()))


@dataclass
class _Areas:
    """Arrays over all areas: a point inside each, and the group it is in, with that group's photos and region."""

    inner: np.ndarray  # (n, 3) unit vectors
    group: np.ndarray  # (n,) row of the group
    photos: np.ndarray  # (n,) of the group
    region: np.ndarray  # (n,) number of the group's region

    def update(self, target: int, group: Group, number: int) -> None:
        """Update the areas of a group after a merge into `target`; number: that of its region."""
        self.group[group.areas], self.photos[group.areas], self.region[group.areas] = target, group.photos, number


def _absorb(groups: dict[int, Group], target: int, row: int) -> None:
    """Merge a group into `target`, which takes the region of the one with more photos and the borders of both."""
    gone, kept = groups.pop(row), groups[target]
    if gone.photos > kept.photos:
        kept.region = gone.region
    kept.areas += gone.areas
    kept.photos += gone.photos
    for other, length in gone.borders.items():
        neighbour = groups.get(other)
        if neighbour is None:
            continue
        neighbour.borders.pop(row, None)
        if other != target:
            kept.borders[other] = kept.borders.get(other, 0.0) + length
            neighbour.borders[target] = kept.borders[other]
    kept.borders.pop(row, None)
