"""One country: its areas without overlaps, and its photos, each at a place on its land."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.errors import HomingError
from homing.geocells.geometry.land import disjoint, unrolled
from homing.geocells.places import Places
from homing.labels.grid import Grid

NEAREST_KM = 1_000  # a photo that far from all land of its country has the wrong country


@dataclass(frozen=True)
class Country:
    """What a partition is made from."""

    areas: pd.DataFrame  # area_id, area, region_id, region, country, country_name, by area_id
    geometry: np.ndarray  # (areas,) their land without overlaps, in one piece across 180 degrees
    seam: float  # degrees; what is west of it was moved east by 360 (`land.unrolled`)
    places: Places  # on the land: photos off the coast are at the nearest point of it
    area: np.ndarray  # (places,) row of the area of each place

    @classmethod
    def of(cls, areas: gpd.GeoDataFrame, points: pd.DataFrame) -> tuple["Country", np.ndarray]:
        """A country with its photos (latitude, longitude), and the number of each photo's place."""
        areas = areas.sort_values("area_id", ignore_index=True)
        geometry, seam = unrolled(areas.geometry.to_numpy())
        geometry = disjoint(geometry)
        with_land = ~shapely.is_empty(geometry)
        areas, geometry = areas[with_land].reset_index(drop=True), geometry[with_land]
        latitude, longitude = points["latitude"].to_numpy(), points["longitude"].to_numpy()
        longitude = np.where(longitude < seam, longitude + 360, longitude)
        latitude, longitude, area = _on_land(geometry, latitude, longitude, areas["country"].iloc[0])
        places, number = Places.of(latitude, longitude)
        area_of = np.empty(len(places), dtype=np.int64)
        area_of[number] = area
        return cls(areas.drop(columns="geometry"), geometry, seam, places, area_of), number

    def area_photos(self) -> np.ndarray:
        """Photos in each area."""
        return np.bincount(self.area, self.places.photos, len(self.areas)).astype(np.int64)


@dataclass(frozen=True)
class Cells:
    """A partition of a country."""

    land: np.ndarray  # (cells,) geometries
    cell: np.ndarray  # (places,) number of each place's cell
    areas: list[np.ndarray]  # rows of the areas that each cell has a part of


def _on_land(
    geometry: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, country: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, and the number of their area; those outside are moved to the nearest border."""
    grid = Grid.of(geometry)
    area = grid.locate(latitude, longitude)
    off = np.flatnonzero(area < 0)
    if len(off):
        area[off], _ = grid.nearest(latitude[off], longitude[off], NEAREST_KM)
        lost = off[area[off] < 0]
        if len(lost):
            raise HomingError(
                f"geocells: the photo at {latitude[lost[0]]}, {longitude[lost[0]]} has country {country}, whose land "
                f"is more than {NEAREST_KM} km away; label the photos with the boundaries that the cells are made from"
            )
        places = grid.nearest_places(latitude[off], longitude[off], NEAREST_KM)
        latitude, longitude = latitude.copy(), longitude.copy()
        latitude[off], longitude[off] = places.T
    return latitude, longitude, area


Settings = Mapping[str, Any]
