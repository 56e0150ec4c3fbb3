"""Time labels at planet scale against geopandas' spatial joins and rasterio's sampling, in the same run.

`--scale full` builds its input first, some minutes and 2 GB in the temporary folder: 4.7 million photos, 50,000 areas
of some 500 vertices, six rasters of 30 arc seconds.
"""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.windows import Window
from timing import median_seconds, sample_folder, scale_of, show
from timing.planet import build_areas, read_places, write_photos, write_rasters
from timing.processes import run_measured

from homing import tables
from homing.labels.areas import AreaLookup
from homing.labels.curve import curve_order
from homing.labels.grid import Grid
from homing.labels.label import label_photos
from homing.labels.measure import Lookup
from homing.labels.rasters import Raster, RasterLookup, Rules, open_raster, sample

ROOT = Path(__file__).resolve().parents[1]
SIDES = ROOT / "resources/driving_side.csv"
WORKERS, MEMORY_MB = 2, 6000


def main() -> None:
    count, as_json = scale_of(small=100_000, full=4_700_000)
    full = count > 1_000_000
    places = read_places(sample_folder())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = write_photos(folder / "photos.parquet", count, places)
        areas = build_areas(places, 50_000 if full else 3_000, 500)
        areas.to_parquet(folder / "areas.parquet")
        write_rasters(folder, photos, 120 if full else 12)
        figures: dict[str, float | str | None] = {"photos": count, "areas": len(areas)}
        figures |= time_areas(folder, areas, photos)
        figures |= time_rasters(folder, photos)
        figures |= time_rule(folder, count, places)
    show(figures, as_json)


def lookups_in(folder: Path) -> list[Lookup]:
    """Return the look-ups of all labels."""
    return [*raster_lookups_in(folder), AreaLookup(str(folder / "grid"), 100)]


def raster_lookups_in(folder: Path) -> list[RasterLookup]:
    """Return the look-ups of five labels; climate_v3.tif stands for a second layer of the precipitation."""
    files = {
        "climate": (["climate.tif"], Rules(50, 1, 30)),
        "temperature": (["temperature.tif"], Rules(50)),
        "precipitation": (["precipitation.tif", "climate_v3.tif"], Rules(50)),
        "elevation": (["elevation.tif"], Rules(50, -500)),
        "population": (["population.tif"], Rules(25, 0, None, True)),
    }
    rasters = []
    for name, (layers, rules) in files.items():
        paths = tuple(str(folder / layer) for layer in layers)
        rasters.append(RasterLookup(name, paths, paths, rules))
    return rasters


def time_areas(folder: Path, areas: gpd.GeoDataFrame, photos: pd.DataFrame) -> dict[str, float]:
    """Time building the grid and looking up points in it, and geopandas' joins of the same points."""
    shapes = areas.geometry.to_numpy()
    Grid.of(shapes[:100]).locate(np.zeros(1), np.zeros(1))  # compile first
    build = median_seconds(lambda: Grid.of(shapes))
    Grid.of(shapes).save(folder / "grid")
    grid = Grid.load(folder / "grid")
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    order = curve_order(latitude, longitude)
    ordered = median_seconds(lambda: grid.locate(latitude[order], longitude[order]))
    shuffled = median_seconds(lambda: grid.locate(latitude, longitude))
    outside = np.flatnonzero(grid.locate(latitude, longitude) < 0)
    grid.nearest(latitude[:10], longitude[:10], 100)
    nearest = median_seconds(lambda: grid.nearest(latitude[outside], longitude[outside], 100))

    rng = np.random.default_rng(4)
    few = rng.choice(len(photos), min(len(photos), 100_000), replace=False)
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(longitude[few], latitude[few]), crs="EPSG:4326")
    frame = areas[["area_id", "geometry"]]
    started = time.perf_counter()
    gpd.sjoin(points, frame, how="left")
    intersects = (time.perf_counter() - started) / len(few)
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(longitude, latitude), crs="EPSG:4326")
    started = time.perf_counter()
    gpd.sjoin(points, frame, how="left", predicate="within")
    within = (time.perf_counter() - started) / len(photos)
    return {
        "vertices": len(grid.vertex),
        "areas_index_seconds": build,
        "areas_points_per_second_per_core": len(photos) / ordered,
        "areas_points_per_second_unsorted": len(photos) / shuffled,
        "areas_mismatches_with_geos_per_million": mismatches(grid, shapes, latitude, longitude, rng),
        "off_land_share": len(outside) / len(photos),
        "nearest_areas_per_second": len(outside) / nearest,
        "speedup_over_sjoin": intersects * len(photos) / ordered,
        "speedup_over_sjoin_within": within * len(photos) / ordered,
    }


def mismatches(
    grid: Grid, shapes: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, rng: np.random.Generator
) -> int:
    """Count the points that GEOS finds in another area, of a million, a fifth of them on borders."""
    chosen = rng.integers(0, len(latitude), 800_000)
    corner = rng.integers(0, len(grid.vertex) - 1, 200_000)
    middle = corner[:100_000]
    border = np.concatenate([0.5 * (grid.vertex[middle] + grid.vertex[middle + 1]), grid.vertex[corner[100_000:]]])
    y, x = np.concatenate([latitude[chosen], border[:, 1]]), np.concatenate([longitude[chosen], border[:, 0]])
    points = shapely.points(x, y)
    area, point = shapely.STRtree(points).query(shapes, predicate="intersects")
    first = np.full(len(points), len(shapes))
    np.minimum.at(first, point, area)
    return int((np.where(first == len(shapes), -1, first) != grid.locate(y, x)).sum())


def time_rasters(folder: Path, photos: pd.DataFrame) -> dict[str, float]:
    """Time raster look-ups, the mere decompression of the blocks with photos, and `dataset.sample`."""
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    order = curve_order(latitude, longitude)
    latitude, longitude = latitude[order], longitude[order]
    rasters = raster_lookups_in(folder)
    decoding = looking = 0.0
    blocks = 0
    for lookup in rasters:
        lookup(latitude[:100], longitude[:100])  # compile first
        for layer in lookup.layers:
            windows = _windows(layer, latitude, longitude)
            decoding += median_seconds(partial(_decode, layer, windows))
            looking += median_seconds(partial(sample, layer, latitude, longitude, lookup.rules))
            blocks += len(windows)
    few = np.random.default_rng(5).choice(len(photos), min(len(photos), 5_000), replace=False)
    pairs = list(zip(longitude[few], latitude[few], strict=True))
    usual = 0.0
    for lookup in rasters:
        for layer in lookup.layers:
            with rasterio.open(layer) as dataset:
                started = time.perf_counter()
                list(dataset.sample(pairs))
                usual += (time.perf_counter() - started) / len(few)
    layers = sum(len(lookup.layers) for lookup in rasters)
    return {
        "raster_blocks_with_photos": blocks / layers,
        "raster_points_per_second_per_core": layers * len(photos) / looking,
        "raster_share_of_decompression": decoding / looking,
        "speedup_over_rasterio_sample": usual * len(photos) / looking,
    }


def _windows(layer: str, latitude: np.ndarray, longitude: np.ndarray) -> list[Window]:
    with open_raster(layer) as dataset:
        raster = Raster(dataset, layer, Rules())
        row, column, _ = raster.find_pixels(latitude, longitude)
        return [window for _, window in raster.blocks(row, column)]


def _decode(layer: str, windows: list[Window]) -> None:
    with open_raster(layer) as dataset:
        for window in windows:
            dataset.read(1, window=window)


def time_rule(folder: Path, count: int, places: np.ndarray) -> dict[str, float]:
    """Time the whole rule with reading and writing, and measure the memory of all its processes; time it again for a
    tenth of the photos, for a few more photos, and for another climate."""
    seconds, peak = run_measured(run, folder, "photos.parquet", "cache.parquet", WORKERS)
    alone, _ = run_measured(run, folder, "photos.parquet", "alone.parquet", 1)
    tenth = write_photos(folder / "tenth.parquet", count // 10, places, seed=1)
    small, _ = run_measured(run, folder, "tenth.parquet", "tenth_cache.parquet", WORKERS)
    more = write_photos(folder / "more.parquet", count, places)
    extra = write_photos(folder / "extra.parquet", 1_000, places, seed=2)
    extra["photo_id"] = "new-" + extra["photo_id"]
    tables.write(folder / "more.parquet", pd.concat([more, extra], ignore_index=True), "photos")
    grown, _ = run_measured(run, folder, "more.parquet", "cache.parquet", WORKERS)
    os.utime(folder / "climate.tif")
    climate, _ = run_measured(run, folder, "more.parquet", "cache.parquet", WORKERS)
    return {
        "full_seconds": seconds,
        "full_peak_gb": peak,
        "full_speedup_of_two_workers": alone / seconds,
        "growth_for_ten_times_the_photos": seconds / small,
        "seconds_for_1000_more_photos": grown,
        "seconds_for_another_climate": climate,
        "tenth_seconds": small,
        "tenth_photos": len(tenth),
    }


def run(folder: Path, photos: str, cache: str, workers: int) -> None:
    """Do the work of the rule."""
    label_photos(
        folder / photos, folder / "areas.parquet", lookups_in(folder), SIDES, folder / "labels.parquet",
        folder / "agreement.csv", folder / cache, workers=workers, memory_mb=MEMORY_MB,
    )  # fmt: skip


if __name__ == "__main__":
    main()
