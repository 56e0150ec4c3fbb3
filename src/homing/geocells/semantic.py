"""Semantic geocells of a country: areas merged below the minimum, cells split above the maximum.

Haas et al., "PIGEON", CVPR 2024, section 3.1, with guarantees: the land is covered once, sizes lie between the minimum
and the maximum wherever that is possible, and a cell is in one piece where its areas are.
"""

import numpy as np

from homing.geocells.country import Cells, Country, Settings
from homing.geocells.divide import Limits, areas_of, divide
from homing.geocells.land import union
from homing.geocells.merge import merge_small


def semantic_cells(country: Country, settings: Settings) -> Cells:
    """The cells of a country within `min_photos`, `max_photos` and `max_radius_km`."""
    limits = Limits(settings["min_photos"], settings["max_photos"], settings["max_radius_km"], settings["optics"])
    regions = [None if region != region else region for region in country.areas["region_id"]]
    photos = country.area_photos()
    order = np.argsort(country.area, kind="stable")
    begin = np.r_[0, np.cumsum(np.bincount(country.area, minlength=len(photos)))]

    def places_in(areas: list[int]) -> np.ndarray:
        return np.concatenate([order[begin[area] : begin[area + 1]] for area in areas])

    def too_wide(areas: list[int]) -> bool:
        return limits.max_radius_km is not None and limits.wide(country.places[places_in(areas)])

    groups = merge_small(country.geometry, regions, photos, limits.min_photos, limits.max_photos, too_wide)
    land, areas, cell = [], [], np.empty(len(country.places), dtype=np.int64)
    for group in groups:
        rows = places_in(group)
        parts = divide(union(country.geometry[group]), country.places[rows], limits)
        for part in parts:
            cell[rows[part.rows]] = len(land)
            land.append(part.land)
            whole = np.array(group)
            areas.append(whole if len(parts) == 1 else areas_of(part.land, whole, country.geometry))
    return Cells(np.array(land), cell, areas)


def exceptions(photos: np.ndarray, heaviest: np.ndarray, radius_km: np.ndarray, settings: Settings) -> list[str | None]:
    """Why each cell is outside the limits, None within them.

    photos, heaviest, radius_km: (n,) photos in a cell, at its fullest place, and how far they reach.
    """
    least, most, widest = settings["min_photos"], settings["max_photos"], settings["max_radius_km"]

    def reason(count: int, at_one_place: int, reach: float) -> str | None:
        if count < least:
            return "its country has fewer photos than min_photos" if widest is None else _SPARSE
        if count > most:
            if -(-count // most) * least > count:
                return "no number of cells of min_photos to max_photos makes up its photos"
            if at_one_place > most or count - at_one_place < least:
                return f"one place holds {at_one_place} photos"
            return "no cut leaves min_photos on both sides, each in one piece"
        if widest is not None and reach > widest:
            return "no cut makes it narrower than max_radius_km"
        return None

    return [reason(*row) for row in zip(photos.tolist(), heaviest.tolist(), radius_km.tolist(), strict=True)]


_SPARSE = "its country has fewer photos than min_photos, or it would be wider than max_radius_km"
