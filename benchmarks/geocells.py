"""Time geocells at planet scale, their growth with the number of photos, and OPTICS against scikit-learn's.

`--scale full`: 4.7 million photos on 50,000 areas of some 500 vertices, as in the benchmark of labels.
"""

import json
import math
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sklearn.cluster import OPTICS
from timing import median_seconds, sample_folder, scale_of, show
from timing.planet import build_areas, read_places, write_photos
from timing.processes import run_measured

from homing.geocells.assign import assign
from homing.geocells.partition import make_geocells
from homing.geocells.quality import area_lost_share
from homing.labels.grid import Grid
from homing.optics import optics_clusters

WORKERS = 2
SEMANTIC = {"method": "semantic", "max_radius_km": None}
PIGEON = SEMANTIC | {"min_photos": 30, "max_photos": 60, "optics": [[8, 0.05], [10, 0.025], [15, 0.015]]}
PIGEOTTO = SEMANTIC | {
    "min_photos": 1000, "max_photos": 2000, "optics": [[300, 0.05], [400, 0.005], [1000, 0.0001]],
}  # fmt: skip


def main() -> None:
    count, as_json = scale_of(small=100_000, full=4_700_000)
    full = count > 1_000_000
    places = read_places(sample_folder())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        areas = build_areas(places, 50_000 if full else 2_000, 500)
        areas.to_parquet(folder / "areas.parquet")
        figures: dict[str, float | str | None] = {"photos": count, "areas": len(areas)}
        figures |= time_squares() | time_optics(20_000 if full else 2_000)
        sizes = (100_000, 1_000_000, count) if full else (count // 10, count)
        seconds = {}
        for size in sizes:
            write_points(folder / "points.parquet", areas, size, places)
            seconds[size], peak = run_measured(partition, folder)
        made = json.loads((folder / "made.json").read_text())
        made["area_lost_share"] = area_lost_share(areas, gpd.read_parquet(folder / "cells.parquet"))
        figures |= {f"seconds_for_{size}_photos": value for size, value in seconds.items()}
        figures |= {"full_seconds": seconds[count], "full_peak_gb": peak} | made
        figures["growth_exponent"] = math.log(seconds[count] / seconds[sizes[-2]]) / math.log(count / sizes[-2])
    show(figures, as_json)


def write_points(path: Path, areas: gpd.GeoDataFrame, count: int, places: np.ndarray) -> None:
    """Write photos with their country and area."""
    photos = write_photos(path.with_name("photos.parquet"), count, places)[["photo_id", "latitude", "longitude"]]
    area = Grid.of(areas.geometry.to_numpy()).locate(photos["latitude"].to_numpy(), photos["longitude"].to_numpy())
    names = areas[["country", "area_id"]].iloc[area[area >= 0]].reset_index(drop=True)
    pd.concat([photos[area >= 0].reset_index(drop=True), names], axis=1).to_parquet(path)


def partition(folder: Path) -> None:
    """Do the work of the rule with the limits of PIGEOTTO: read, make cells, find the cell of every photo."""
    areas, points = gpd.read_parquet(folder / "areas.parquet"), pd.read_parquet(folder / "points.parquet")
    made = make_geocells(areas, points, PIGEOTTO, WORKERS)
    elsewhere = (assign(made.cells, made.shaping, made.shaping, True) != made.shaping["cell_id"]).sum()
    found = {"cells": len(made.cells), "photos_elsewhere": int(elsewhere), "exceptions": len(made.exceptions)}
    (folder / "made.json").write_text(json.dumps(found))
    made.cells.to_parquet(folder / "cells.parquet")


def time_squares() -> dict[str, float]:
    """Time the small case for which published code takes a minute: 400 squares, 10,000 photos."""
    corner = [(west, south) for west in range(20) for south in range(20)]
    shapes = [shapely.box(west, south, west + 1, south + 1) for west, south in corner]
    names = {"area_id": [f"a{n:03d}" for n in range(400)], "area": "an area", "region_id": "r", "region": "a region"}
    areas = gpd.GeoDataFrame(names | {"country": "C", "country_name": "a country"}, geometry=shapes, crs="EPSG:4326")
    rng = np.random.default_rng(0)
    crowds = rng.uniform(1, 19, (40, 2))[rng.integers(0, 40, 10_000)] + rng.normal(0, 0.7, (10_000, 2))
    place = crowds.clip(0.001, 19.999)
    area = (place[:, 0].astype(int) * 20 + place[:, 1].astype(int)).astype(int)
    points = pd.DataFrame(
        {"photo_id": np.arange(10_000).astype(str), "latitude": place[:, 1], "longitude": place[:, 0]}
    )
    points = points.assign(country="C", area_id=areas["area_id"].to_numpy()[area])
    make_geocells(areas, points[:100], PIGEON)  # compile first
    return {"squares_400_10k_seconds": median_seconds(lambda: make_geocells(areas, points, PIGEON))}


def time_optics(count: int) -> dict[str, float]:
    """Time OPTICS on random points, and against scikit-learn on at most 5,000 of them."""
    plane = np.random.default_rng(0).normal(0, 50, (count, 2))
    optics_clusters(plane[:100], 8, 0.05)
    ours = median_seconds(lambda: optics_clusters(plane, 8, 0.05))
    few = plane[: min(count, 5_000)]
    ours_few = median_seconds(lambda: optics_clusters(few, 8, 0.05))
    theirs = median_seconds(lambda: OPTICS(min_samples=8, xi=0.05).fit(few))
    return {"optics_points_per_second": count / ours, "optics_times_faster_than_scikit_learn": theirs / ours_few}


if __name__ == "__main__":
    main()
