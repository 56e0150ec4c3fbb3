"""Labels: our look-ups beside geopandas' spatial joins and rasterio's own sampling, in the same run."""

import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from timing import median_seconds, scale_of, show

from homing.labels.areas import AreaIndex
from homing.labels.boundaries import read_areas
from homing.labels.rasters import Rules, sample
from homing.toyplanet.layers import write_boundaries, write_rasters
from homing.toyplanet.world import World

count, as_json = scale_of(small=50_000, full=1_000_000)
rng = np.random.default_rng(0)
with tempfile.TemporaryDirectory() as folder:
    world = World(1, 12)
    write_boundaries(world, Path(folder) / "gadm_410-levels.zip")
    write_rasters(world, Path(folder), degrees=0.25)
    areas = read_areas([Path(folder) / "gadm_410-levels.zip"])
    centre = areas.geometry.representative_point()
    own = rng.integers(0, len(areas), count)
    latitude = np.clip(centre.y.to_numpy()[own] + rng.normal(0, 2, count), -89, 89)
    longitude = np.clip(centre.x.to_numpy()[own] + rng.normal(0, 2, count), -179.9, 179.9)
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(longitude, latitude), crs="EPSG:4326")

    inside = median_seconds(lambda: AreaIndex(areas).locate(latitude, longitude, nearest_km=0))
    joined = median_seconds(lambda: gpd.sjoin(points, areas[["area_id", "geometry"]], how="left"))
    nearest = median_seconds(lambda: AreaIndex(areas).locate(latitude, longitude, nearest_km=100))
    planar = median_seconds(lambda: gpd.sjoin_nearest(points, areas[["area_id", "geometry"]], max_distance=1))

    path = str(Path(folder) / "koppen_geiger.tif")
    pairs = list(zip(longitude, latitude, strict=True))
    with rasterio.open(path) as dataset:
        own_sampling = median_seconds(lambda: list(dataset.sample(pairs)))
    ours = median_seconds(lambda: sample(path, latitude, longitude, Rules()))
show(
    {
        "points": count,
        "inside_points_per_second": count / inside,
        "inside_times_faster_than_geopandas_sjoin": joined / inside,
        "nearest_points_per_second": count / nearest,
        "nearest_times_faster_than_planar_sjoin_nearest": planar / nearest,
        "raster_points_per_second": count / ours,
        "raster_times_faster_than_rasterio_sample": own_sampling / ours,
    },
    as_json,
)
