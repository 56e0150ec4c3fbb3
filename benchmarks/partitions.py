"""Compare the partitions at equal numbers of cells, on real coordinates if the sample data is there.

A tenth of the photos is held out.
"""

import argparse
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from timing import sample_folder
from timing.planet import build_areas, read_places

from homing.geocells.compare import as_text, at_equal_count, compare
from homing.labels.areas import locate
from homing.labels.boundaries import read_areas
from homing.labels.grid import Grid

LIMITS = {"small": (400, 1200, [[50, 0.05], [100, 0.01]]), "full": (30, 60, [[8, 0.05], [10, 0.025], [15, 0.015]])}
METHODS = ("semantic", "kmeans", "admin", "s2", "h3", "quadtree")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--scale", choices=list(LIMITS), default="small", help="small: cells of hundreds of photos; full: of tens"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    areas, photos = real_world(sample_folder())
    points = photos[photos["split"] == "train"]
    least, most, optics = LIMITS[options.scale]
    settings = {"method": "semantic", "min_photos": least, "max_photos": most, "optics": optics, "max_radius_km": None}
    settings |= {"admin_level": "region", "s2_level": 13, "quadtree_depth": 10, "h3_resolution": None, "levels": []}
    found, cells = {}, None
    for method in METHODS:
        found[method] = at_equal_count(method, cells, areas, points, photos, settings, workers=1)
        cells = cells or found[method]["cells"]
    rows = compare(found)
    print(
        json.dumps({f"{row['name']}.{key}": row[key] for row in rows for key in row}) if options.json else as_text(rows)
    )


def real_world(sample: str | None) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return areas, and photos with country, area and split; without sample data those of a generated planet."""
    places = read_places(sample)
    areas = read_areas([Path(sample) / "boundaries/levels.gpkg"]) if sample else build_areas(places, 2_000, 100)
    number, _ = locate(Grid.of(areas.geometry.to_numpy()), places[:, 0], places[:, 1], 100)
    held = np.random.default_rng(0).random(len(places)) < 0.1
    photos = pd.DataFrame(places, columns=["latitude", "longitude"]).assign(split=np.where(held, "test", "train"))
    photos.insert(0, "photo_id", np.arange(len(photos)).astype(str))
    named = areas[["country", "area_id"]].iloc[number[number >= 0]].reset_index(drop=True)
    return areas, pd.concat([photos[number >= 0].reset_index(drop=True), named], axis=1)


if __name__ == "__main__":
    main()
