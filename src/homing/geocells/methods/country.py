"""What a method starts from, a country with its photos on its land, and what it returns, the cells of the country."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.errors import HomingError
from homing.geocells.geometry.land import disjoint, unwrap_antimeridian
from homing.geocells.geometry.places import Places
from homing.labels.grid import Grid

Settings = Mapping[str, Any]  # the section `geocells` of the configuration

NEAREST_KM = 1_000  # a photo farther than this from all land of its country has the wrong country


@dataclass(frozen=True)
class Country:
    """The areas of a country without overlaps, and the places of its photos on them."""

    areas: pd.DataFrame  # area_id, area, region_id, region, country, country_name, by area_id
    geometry: np.ndarray  # (areas,) their land without overlaps, in one piece across 180 degrees
    seam: float  # degrees; what was west of it has been moved east by 360 (`land.unwrap_antimeridian`)
    places: Places  # on the land: photos off the coast are moved to the nearest point of it
    area: np.ndarray  # (places,) row of the area of each place

    @classmethod
    def of(cls, areas: gpd.GeoDataFrame, points: pd.DataFrame) -> tuple["Country", np.ndarray]:
        """Return a country with its photos (latitude, longitude), and the row of each photo's place, (photos,).

        Raises HomingError if a photo is more than NEAREST_KM from all land of the country.
        """
        areas = areas.sort_values("area_id", ignore_index=True)
        geometry, seam = unwrap_antimeridian(areas.geometry.to_numpy())
        geometry = disjoint(geometry)
        with_land = ~shapely.is_empty(geometry)
        areas, geometry = areas[with_land].reset_index(drop=True), geometry[with_land]
        latitude, longitude = points["latitude"].to_numpy(), points["longitude"].to_numpy()
        longitude = np.where(longitude < seam, longitude + 360, longitude)
        latitude, longitude, area = _snap_to_land(geometry, latitude, longitude, areas["country"].iloc[0])
        places, number = Places.of(latitude, longitude)
        area_of_place = np.empty(len(places), dtype=np.int64)
        area_of_place[number] = area
        return cls(areas.drop(columns="geometry"), geometry, seam, places, area_of_place), number

    def photos_per_area(self) -> np.ndarray:
        """Return the number of photos in each area, int64 (areas,)."""
        return np.bincount(self.area, self.places.photos, len(self.areas)).astype(np.int64)


@dataclass(frozen=True)
class Cells:
    """A partition of a country."""

    land: np.ndarray  # (cells,) geometries
    cell: np.ndarray  # (places,) number of each place's cell
    areas: list[np.ndarray]  # rows of the areas of which each cell has a part

    def main_areas(self, country: Country) -> np.ndarray:
        """Return the row of the area with most photos of each cell, (cells,); of a cell without photos its first."""
        held = pd.DataFrame({"cell": self.cell, "area": country.area, "photos": country.places.photos})
        held = held.groupby(["cell", "area"], as_index=False)["photos"].sum()
        held = held.sort_values(["cell", "photos", "area"], ascending=[True, False, True]).drop_duplicates("cell")
        main = np.array([rows[0] if len(rows) else 0 for rows in self.areas])
        main[held["cell"]] = held["area"]
        return main


def _snap_to_land(
    geometry: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, country: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitude, longitude and area of each point; points outside all areas are moved to the nearest border."""
    grid = Grid.of(geometry)
    area = grid.locate(latitude, longitude)
    outside = np.flatnonzero(area < 0)
    if len(outside):
        area[outside], _ = grid.nearest(latitude[outside], longitude[outside], NEAREST_KM)
        lost = outside[area[outside] < 0]
        if len(lost):
            raise HomingError(
                f"geocells: the photo at {latitude[lost[0]]}, {longitude[lost[0]]} has country {country}, whose land "
                f"is more than {NEAREST_KM} km away; label the photos with the boundaries that the cells are made from"
            )
        nearest = grid.nearest_places(latitude[outside], longitude[outside], NEAREST_KM)
        latitude, longitude = latitude.copy(), longitude.copy()
        latitude[outside], longitude[outside] = nearest.T
    return latitude, longitude, area
