"""Semantic geocells of a country: areas with too few photos are merged, cells with too many are split.

After Haas et al., "PIGEON", CVPR 2024, section 3.1, with guarantees: every point of the land is in one cell, sizes are
within the limits wherever that is possible, and a cell is in one piece where its areas are.
"""

import numpy as np
import pandas as pd
import shapely

from homing.geocells.geometry.land import union
from homing.geocells.geometry.tessellation import add_shared_vertices, overlapping_areas
from homing.geocells.methods.country import Cells, Country, Settings
from homing.geocells.methods.divide import Limits, divide
from homing.geocells.methods.merge import merge_small


def semantic_cells(country: Country, settings: Settings) -> Cells:
    """Return the cells of a country within `min_photos`, `max_photos` and `max_radius_km`."""
    limits = Limits(settings["min_photos"], settings["max_photos"], settings["max_radius_km"], settings["optics"])
    photos = country.photos_per_area()
    order = np.argsort(country.area, kind="stable")
    begin = np.r_[0, np.cumsum(np.bincount(country.area, minlength=len(photos)))]

    def places_in(areas: list[int]) -> np.ndarray:
        return np.concatenate([order[begin[area] : begin[area + 1]] for area in areas])

    def too_wide(areas: list[int]) -> bool:
        return limits.max_radius_km is not None and limits.is_too_wide(country.places[places_in(areas)])

    regions = _none_if_missing(country.areas["region_id"])
    groups = merge_small(country.geometry, regions, photos, limits.min_photos, limits.max_photos, too_wide)
    land: list[shapely.Geometry] = []
    areas: list[np.ndarray] = []
    cell = np.empty(len(country.places), dtype=np.int64)
    for group in groups:
        rows = places_in(group)
        parts = divide(union(country.geometry[group]), country.places[rows], limits)
        for part in parts:
            cell[rows[part.rows]] = len(land)
            land.append(part.land)
            whole = np.array(group)
            areas.append(whole if len(parts) == 1 else overlapping_areas(part.land, whole, country.geometry))
    cells = Cells(np.array(land), cell, areas)
    return cells if limits.max_radius_km is None else _merge_small_cells(cells, country, limits)


def _merge_small_cells(cells: Cells, country: Country, limits: Limits) -> Cells:
    """Merge cells that cuts for `max_radius_km` left with too few photos, across areas, within all limits."""
    order = np.argsort(cells.cell, kind="stable")
    places = np.split(order, np.cumsum(np.bincount(cells.cell, minlength=len(cells.land)))[:-1])
    photos = np.bincount(cells.cell, country.places.photos, len(cells.land)).astype(np.int64)

    def exceeds_limits(group: list[int]) -> bool:
        own = country.places[np.concatenate([places[number] for number in group])]
        return own.photos.sum() > limits.max_photos or limits.is_too_wide(own)

    regions = _none_if_missing(country.areas["region_id"].iloc[cells.main_areas(country)])
    land = add_shared_vertices(cells.land)  # else no borders are found, nor dissolved, between parts of different areas
    groups = merge_small(land, regions, photos, limits.min_photos, limits.max_photos, exceeds_limits)
    number = np.empty(len(cells.land), dtype=np.int64)
    for joined, group in enumerate(groups):
        number[group] = joined
    return Cells(
        np.array([union(shapely.get_parts(land[group])) for group in groups]),
        number[cells.cell],
        [np.unique(np.concatenate([cells.areas[part] for part in group])) for group in groups],
    )


def _none_if_missing(names: pd.Series) -> list[str | None]:
    return [None if pd.isna(name) else name for name in names]


def exceptions(
    photos: np.ndarray, fullest: np.ndarray, radius_km: np.ndarray, on_land_km: np.ndarray, settings: Settings
) -> list[str | None]:
    """Return why each cell of a country is outside the limits; None for a cell within them.

    photos, fullest: (n,) photos in each cell and at its fullest place. radius_km, on_land_km: (n,) radius of the photos
    of each cell, and of their places on the land, to which photos off the coast are moved.
    """
    min_photos, max_photos, max_radius_km = (settings[key] for key in ("min_photos", "max_photos", "max_radius_km"))
    country_is_small = photos.sum() < min_photos

    def reason(count: int, at_one_place: int, radius: float, radius_on_land: float) -> str | None:
        if count < min_photos:
            return "its country has fewer photos than min_photos" if country_is_small else _SPARSE
        if count > max_photos:
            if -(-count // max_photos) * min_photos > count:
                return "no number of cells of min_photos to max_photos makes up its photos"
            if at_one_place > max_photos or count - at_one_place < min_photos:
                return f"one place holds {at_one_place} photos"
            return "no cut leaves min_photos on both sides, each in one piece"
        if max_radius_km is not None and radius > max_radius_km:
            off_coast = "its photos off the coast are farther apart than their places on it"
            return "no cut makes it narrower than max_radius_km" if radius_on_land > max_radius_km else off_coast
        return None

    columns = (column.tolist() for column in (photos, fullest, radius_km, on_land_km))
    return [reason(*row) for row in zip(*columns, strict=True)]


_SPARSE = "with any neighbour it would be wider than max_radius_km or have more than max_photos"
