"""Division of land into cells within limits, each in one piece where its land is."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from homing.geocells.geometry.land import union
from homing.geocells.geometry.places import Places
from homing.geocells.geometry.tessellation import reach, tessellate
from homing.geocells.methods.cuts import candidate_cuts
from homing.geocells.methods.merge import merge_small


@dataclass(frozen=True)
class Limits:
    """The limits of a cell's size, and the OPTICS settings (min_samples, xi) of its candidate cuts."""

    min_photos: int
    max_photos: int
    max_radius_km: float | None
    optics: Sequence[tuple[float, float]]

    def is_too_wide(self, places: Places) -> bool:
        """True if a photo is farther than `max_radius_km` from the mean of all."""
        return self.max_radius_km is not None and len(places) > 1 and places.radius_km() > self.max_radius_km

    def min_photos_of_parts(self, places: Places) -> tuple[int, ...]:
        """Return the minima of photos per part to try when a cell of these places is split; empty if it need not be."""
        if self.is_too_wide(places):
            return (self.min_photos, 1)
        return (self.min_photos,) if places.photos.sum() > self.max_photos else ()


@dataclass(frozen=True)
class Part:
    """A piece of land and the rows of the places in it."""

    land: shapely.Geometry
    rows: np.ndarray


def divide(land: shapely.Geometry, places: Places, limits: Limits) -> list[Part]:
    """Divide land into parts within the limits, as far as there is a cut.

    Cuts are tried in the order of `candidate_cuts`, and each part is divided again until it is small enough. A part has
    no more pieces than its land: what a cut separates, or leaves with too few photos, joins a neighbour.
    """
    done: list[Part] = []
    waiting = [Part(land, np.arange(len(places)))]
    while waiting:
        part = waiting.pop()
        parts = next(_splits(part, places, limits), None)
        if parts is None:
            done.append(part)
        else:
            waiting += reversed(parts)
    return done


def _splits(part: Part, places: Places, limits: Limits) -> Iterator[list[Part]]:
    """Yield the divisions of a part into two or more parts."""
    own = places[part.rows]
    for min_photos, prefer_small in itertools.product(limits.min_photos_of_parts(own), (False, True)):
        if own.photos.sum() < 2 * min_photos:
            continue
        for borders in candidate_cuts(own, min_photos, limits.optics, reach(part.land, own)):
            units, unit = tessellate(part.land, own, borders)
            photos = np.bincount(unit, own.photos, len(units)).astype(np.int64)
            regions = [None] * len(units)
            groups = merge_small(units, regions, photos, min_photos, limits.max_photos, prefer_small=prefer_small)
            if len(groups) > 1:
                yield [Part(union(units[group]), part.rows[np.isin(unit, group)]) for group in groups]
