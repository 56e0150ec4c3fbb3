"""The countries of the planet with two levels of areas, its towns and its population."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.affinity import translate

from homing.sphere import haversine_km
from homing.toyplanet.climate import Climate

# Latitude, longitude, and half the height and width in degrees. The fourth lies across the antimeridian.
CONTINENTS = ((42, -100, 24, 30), (-14, -58, 26, 20), (30, 30, 30, 34), (-24, 178, 18, 22), (58, 105, 14, 34))
REGIONS, AREAS = 5, 5  # of a country, of a region
TOWNS = 6  # of a country
SYLLABLES = ("ka", "lo", "mir", "ten", "va", "sol", "bru", "ne", "qui", "dor", "ash", "pel", "zu", "fen", "rio", "gal")
EVERYWHERE = ("Republic", "Islands", "Kingdom")


@dataclass(frozen=True)
class World:
    """A planet with a number of countries, determined by its seed."""

    seed: int
    countries: int

    @cached_property
    def climate(self) -> Climate:
        return Climate(self.seed)

    @cached_property
    def areas(self) -> gpd.GeoDataFrame:
        """One row per area with GADM's columns down to level 2; longitudes exceed 180 on the fourth continent."""
        rng = np.random.default_rng([self.seed, 2])
        names = _names(rng)
        rows = []
        number = 0
        for continent, share in zip(CONTINENTS, _shares(self.countries), strict=True):
            coast = _coast(rng, *continent)
            for country in _divide(rng, coast, share):
                code = f"T{chr(65 + number // 26)}{chr(65 + number % 26)}"
                name = next(names).title() + (f" {EVERYWHERE[number // 3 % 3]}" if number % 3 == 2 else "")
                for one, region in enumerate(_divide(rng, country, REGIONS), 1):
                    region_name = next(names).title()
                    for two, area in enumerate(_divide(rng, region, AREAS), 1):
                        ids = {"GID_0": code, "GID_1": f"{code}.{one}_1", "GID_2": f"{code}.{one}.{two}_1"}
                        titles = {"COUNTRY": name, "NAME_1": region_name, "NAME_2": next(names).title()}
                        rows.append(ids | titles | {"number": number, "region": one - 1, "geometry": area})
                number += 1
        return gpd.GeoDataFrame(rows, crs="EPSG:4326")

    @cached_property
    def towns(self) -> pd.DataFrame:
        """Towns: latitude, longitude, density (people per km2 at the centre) and reach_km (where it falls to 1/e)."""
        rng = np.random.default_rng([self.seed, 3])
        rows = []
        for _, own in self.areas.groupby("number"):
            chosen = own.iloc[np.sort(rng.permutation(len(own))[:TOWNS])]
            wealth = rng.uniform(0.3, 1.5)
            for area in chosen.geometry:
                point = area.representative_point()
                density = wealth * np.exp(rng.uniform(np.log(400), np.log(6000)))
                rows.append((point.y, point.x, density, rng.uniform(25, 70)))
        return pd.DataFrame(rows, columns=["latitude", "longitude", "density", "reach_km"])

    def population_per_km2(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Return people per km2 (n,): towns of exponentially decreasing density, and a few people where it is warm."""
        warm = np.clip((self.climate.temperature_c(latitude, longitude).mean(axis=-1) + 8) / 20, 0.02, 1)
        density = 6 * warm
        for town in self.towns.itertuples():
            near = np.flatnonzero(np.abs(latitude - town.latitude) < 9 * town.reach_km / 111)
            distance_km = haversine_km(latitude[near], longitude[near], town.latitude, town.longitude)
            density[near] += town.density * np.exp(-distance_km / town.reach_km) * warm[near]
        return density

    @cached_property
    def drives_on_left(self) -> np.ndarray:
        """Whether traffic keeps left in each country, bool (countries,); in two of five."""
        return np.arange(self.countries) % 5 % 3 == 1


def _shares(countries: int) -> list[int]:
    """Return the number of countries of each continent, proportional to its size, at least 1."""
    sizes = np.array([height * width for _, _, height, width in CONTINENTS], dtype=float)
    shares = np.maximum(1, np.floor(countries * sizes / sizes.sum()).astype(int))
    while shares.sum() != countries:
        step = 1 if shares.sum() < countries else -1
        worth = sizes / (shares + (step > 0)) if step > 0 else np.where(shares > 1, -sizes / shares, -np.inf)
        shares[int(worth.argmax())] += step
    return shares.tolist()


def _names(rng: np.random.Generator) -> Iterator[str]:
    """Yield distinct names of two or three syllables."""
    seen: set[str] = set()
    while True:
        name = "".join(rng.choice(SYLLABLES, rng.integers(2, 4)))
        if name not in seen:
            seen.add(name)
            yield name


def _coast(rng: np.random.Generator, latitude: float, longitude: float, height: float, width: float) -> shapely.Polygon:
    """Return a coastline: an ellipse in degrees with random waves."""
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    wave = sum(rng.normal() / order * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in range(2, 9))
    reach = 1 + 0.09 * wave
    return shapely.Polygon(
        np.stack([longitude + width * reach * np.cos(angle), latitude + height * reach * np.sin(angle)], axis=1)
    )


def _divide(rng: np.random.Generator, shape: shapely.Geometry, count: int) -> list[shapely.Geometry]:
    """Divide a shape into `count` parts of similar size: Voronoi cells of points after Lloyd's relaxation."""
    if count == 1:
        return [shape]
    west, south, east, north = shape.bounds
    points: list[shapely.Point] = []
    while len(points) < count:
        point = shapely.Point(rng.uniform(west, east), rng.uniform(south, north))
        if shape.contains(point):
            points.append(point)
    for _ in range(8):
        cells = shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=shape, ordered=True)
        parts = [shapely.intersection(cell, shape) for cell in shapely.get_parts(cells)]
        points = [part.centroid for part in parts]
    return parts


def wrapped(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """Cut a geometry with longitudes beyond 180 at the antimeridian, as GeoPackages store it."""
    inside = shapely.intersection(shape, shapely.box(-180, -90, 180, 90))
    beyond = translate(shapely.intersection(shape, shapely.box(180, -90, 540, 90)), xoff=-360)
    parts = [part for part in (*shapely.get_parts(inside), *shapely.get_parts(beyond)) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)
