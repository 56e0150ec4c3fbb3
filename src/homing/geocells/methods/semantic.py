"""Semantic geocells of a country: areas merged below the minimum, cells split above the maximum.

Haas et al., "PIGEON", CVPR 2024, section 3.1, with guarantees: the land is covered once, sizes lie between the minimum
and the maximum wherever that is possible, and a cell is in one piece where its areas are.
"""

import numpy as np

from homing.geocells.country import Cells, Country, Settings
from homing.geocells.describe import main_areas
from homing.geocells.geometry.land import union
from homing.geocells.methods.divide import Limits, areas_of, divide, matched
from homing.geocells.methods.merge import merge_small


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
    cells = Cells(np.array(land), cell, areas)
    return cells if limits.max_radius_km is None else _joined(cells, country, limits)


def _joined(cells: Cells, country: Country, limits: Limits) -> Cells:
    """What cuts for `max_radius_km` left with too few photos joins a neighbour, of any areas, within all limits."""
    order = np.argsort(cells.cell, kind="stable")
    places = np.split(order, np.cumsum(np.bincount(cells.cell, minlength=len(cells.land)))[:-1])
    photos = np.bincount(cells.cell, country.places.photos, len(cells.land)).astype(np.int64)

    def beyond(group: list[int]) -> bool:
        own = country.places[np.concatenate([places[number] for number in group])]
        return own.photos.sum() > limits.max_photos or limits.wide(own)

    region = country.areas["region_id"].to_numpy()[main_areas(cells, country)]
    regions = [None if name != name else name for name in region]
    groups = merge_small(matched(cells.land), regions, photos, limits.min_photos, limits.max_photos, beyond)
    number = np.empty(len(cells.land), dtype=np.int64)
    for joined, group in enumerate(groups):
        number[group] = joined
    return Cells(
        np.array([union(cells.land[group]) for group in groups]),
        number[cells.cell],
        [np.unique(np.concatenate([cells.areas[part] for part in group])) for group in groups],
    )


def exceptions(
    photos: np.ndarray, heaviest: np.ndarray, radius_km: np.ndarray, on_land_km: np.ndarray, settings: Settings
) -> list[str | None]:
    """Why each cell of a country is outside the limits, None within them.

    photos, heaviest, radius_km, on_land_km: (n,) photos in a cell and at its fullest place, how far they reach, and how
    far their places on the land do.
    """
    least, most, widest = settings["min_photos"], settings["max_photos"], settings["max_radius_km"]
    country_is_small = photos.sum() < least

    def reason(count: int, at_one_place: int, reach: float, on_land: float) -> str | None:
        if count < least:
            return "its country has fewer photos than min_photos" if country_is_small else _SPARSE
        if count > most:
            if -(-count // most) * least > count:
                return "no number of cells of min_photos to max_photos makes up its photos"
            if at_one_place > most or count - at_one_place < least:
                return f"one place holds {at_one_place} photos"
            return "no cut leaves min_photos on both sides, each in one piece"
        if widest is not None and reach > widest:
            off_coast = "its photos off the coast are farther apart than their places on it"
            return "no cut makes it narrower than max_radius_km" if on_land > widest else off_coast
        return None

    sizes = (sizes.tolist() for sizes in (photos, heaviest, radius_km, on_land_km))
    return [reason(*row) for row in zip(*sizes, strict=True)]


_SPARSE = "with any neighbour it would be wider than max_radius_km or have more than max_photos"
