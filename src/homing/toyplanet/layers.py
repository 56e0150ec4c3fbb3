"""Boundaries and rasters of the planet, with the file names and conventions of the real products."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from rasterio.transform import Affine, from_origin

from homing.sphere import pixel_area_km2
from homing.toyplanet.climate import koppen
from homing.toyplanet.world import World, wrapped

STAMP = (2020, 1, 1, 0, 0, 0)  # of every archive member: the same planet has the same bytes
WORLDCLIM_NODATA = -3.4e38
WORLDPOP_NODATA = -99999.0
WORLDPOP_SHIFT = 0.00125  # WorldPop's grid does not start at -180


def write_boundaries(world: World, target: Path) -> None:
    """Write GADM's zip, which holds a GeoPackage with the layers ADM_0, ADM_1 and ADM_2.

    As in the real one, some countries lack levels: the last country has neither ADM_1 nor ADM_2, the one before it no
    ADM_2.
    """
    package = target.with_name("gadm_410-levels.gpkg")
    areas = world.areas
    last = world.countries - 1
    with fixed_date():
        for level, columns in enumerate((["GID_0", "COUNTRY"], ["GID_1", "NAME_1"], ["GID_2", "NAME_2"])):
            present = areas[areas["number"] <= last - level] if level else areas
            kept = ["GID_0", "COUNTRY", "GID_1", "NAME_1", "GID_2", "NAME_2"][: 2 * level + 2]
            units = present.dissolve(columns[0], sort=True).reset_index()
            units = gpd.GeoDataFrame(units[kept], geometry=units.geometry.map(wrapped), crs="EPSG:4326")
            options = {"driver": "GPKG", "layer": f"ADM_{level}", "geometry_type": "MultiPolygon"}
            pyogrio.write_dataframe(units, package, append=level > 0, **options)
    zip_files(target, {package.name: package.read_bytes()})
    package.unlink()


@contextmanager
def fixed_date() -> Iterator[None]:
    """Give GeoPackages that are written in this context a fixed date."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2020-01-01T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def zip_files(target: Path, members: dict[str, bytes]) -> None:
    """Write a zip of members, by name, with a fixed date."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, STAMP), content, compress_type=zipfile.ZIP_DEFLATED)


class WorldRaster:
    """A global raster of square pixels: pixel centres (degrees), land mask and transform."""

    def __init__(self, world: World, degrees: float, north: float = 90, south: float = -90, shift: float = 0) -> None:
        rows, columns = round((north - south) / degrees), round(360 / degrees)
        self.degrees, self.north = degrees, north
        self.transform: Affine = from_origin(-180 - shift, north - shift, degrees, degrees)
        latitude = north - shift - degrees * (np.arange(rows) + 0.5)
        longitude = -180 - shift + degrees * (np.arange(columns) + 0.5)
        self.latitude, self.longitude = np.meshgrid(latitude, longitude, indexing="ij")
        shapes = world.areas.dissolve("number").geometry.map(wrapped)
        codes = [(shape, number + 1) for number, shape in shapes.items()]
        self.country = rasterize(codes, (rows, columns), transform=self.transform, dtype="uint8") - 1.0
        self.land = self.country >= 0

    def on_land(self, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return `function(latitude, longitude)` on land pixels as an array (rows, columns, ...), NaN at sea."""
        values = function(self.latitude[self.land], self.longitude[self.land])
        full = np.full((*self.land.shape, *values.shape[1:]), np.nan)
        full[self.land] = values
        return full

    def geotiff(self, values: np.ndarray, dtype: str, nodata: float | None) -> bytes:
        """Return the bytes of a compressed GeoTIFF in EPSG:4326."""
        height, width = values.shape
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": dtype, "nodata": nodata}
        layout = {"compress": "deflate", "predictor": 2 if dtype == "uint8" else 3, "tiled": True}
        with MemoryFile() as memory:
            with memory.open(crs="EPSG:4326", transform=self.transform, **profile, **layout) as dataset:
                dataset.write(values.astype(dtype), 1)
            return memory.read()


def write_rasters(world: World, folder: Path, degrees: float) -> None:
    """Write Koppen-Geiger classes, WorldPop counts, monthly WorldClim zips and ETOPO elevation."""
    folder.mkdir(parents=True, exist_ok=True)
    fine, coarse = WorldRaster(world, degrees), WorldRaster(world, 2 * degrees)
    climate = world.climate
    classes = fine.on_land(
        lambda latitude, longitude: koppen(
            climate.temperature_c(latitude, longitude), climate.precipitation_mm(latitude, longitude), latitude
        )
    )
    (folder / "koppen_geiger.tif").write_bytes(fine.geotiff(np.nan_to_num(classes), "uint8", nodata=None))

    people = WorldRaster(world, degrees, north=84, south=-72, shift=WORLDPOP_SHIFT)
    area = pixel_area_km2(people.latitude - degrees / 2, people.latitude + degrees / 2, degrees)
    counts = people.on_land(world.population_per_km2) * area
    counts = np.where(np.isnan(counts), WORLDPOP_NODATA, counts)
    (folder / "ppp_2020_1km_Aggregated.tif").write_bytes(people.geotiff(counts, "float32", WORLDPOP_NODATA))

    for name, function in (("tavg", climate.temperature_c), ("prec", climate.precipitation_mm)):
        months = coarse.on_land(function)
        months = np.where(np.isnan(months), WORLDCLIM_NODATA, months)
        tiffs = {
            f"wc2.1_10m_{name}_{month:02d}.tif": coarse.geotiff(months[..., month - 1], "float32", WORLDCLIM_NODATA)
            for month in range(1, 13)
        }
        zip_files(folder / f"wc2.1_10m_{name}.zip", tiffs)

    depth = -200 - 1500 * np.abs(climate.waves["hills"](fine.latitude, fine.longitude))
    relief = np.where(fine.land, fine.on_land(climate.elevation_m), depth)
    (folder / "ETOPO_2022_v1_60s_N90W180_surface.tif").write_bytes(fine.geotiff(relief, "float32", nodata=None))


def write_driving_sides(world: World, target: Path) -> None:
    """Write codes and driving sides of the countries; the first has the code "NA", often read as missing."""
    codes = world.areas.groupby("number")["GID_0"].first()
    lines = ["iso_a2,iso_a3,side"]
    for number, code in codes.items():
        side = "left" if world.drives_on_left[number] else "right"
        lines.append(f"{'NA' if number == 0 else code[::2]},{code},{side}")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
