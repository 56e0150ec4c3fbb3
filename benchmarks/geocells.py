"""Geocells: a partition of a toy planet, and our OPTICS beside scikit-learn's on the same points."""

import geopandas as gpd
import numpy as np
import pandas as pd
from sklearn.cluster import OPTICS
from timing import median_seconds, scale_of, show

from homing.geocells.partition import make_geocells
from homing.optics import optics_clusters
from homing.toyplanet.photos import take_photos
from homing.toyplanet.world import World, wrapped

count, as_json = scale_of(small=20_000, full=500_000)
world = World(1, 12)
areas = world.areas.rename(columns={"GID_2": "area_id", "NAME_2": "area", "GID_1": "region_id", "NAME_1": "region"})
areas = areas.rename(columns={"GID_0": "country", "COUNTRY": "country_name"})
areas["geometry"] = areas.geometry.map(wrapped)
photos = take_photos(world, count).assign(photo_id=[f"p{number}" for number in range(count)])
places = gpd.GeoDataFrame(photos, geometry=gpd.points_from_xy(photos["longitude"], photos["latitude"]), crs="EPSG:4326")
columns = ["photo_id", "latitude", "longitude", "geometry"]
points = gpd.sjoin(places[columns], areas[["area_id", "country", "geometry"]]).drop_duplicates("photo_id")
settings = {"min_photos": 100, "max_photos": 200, "optics": [[8, 0.05], [10, 0.025], [15, 0.015]]}
made = []
seconds = median_seconds(lambda: made.append(make_geocells(areas, pd.DataFrame(points), settings)[0]))

plane = np.random.default_rng(0).normal(0, 50, (2000, 2))
ours = median_seconds(lambda: optics_clusters(plane, 8, 0.05))
theirs = median_seconds(lambda: OPTICS(min_samples=8, xi=0.05).fit(plane))
show(
    {
        "photos": len(points),
        "cells": len(made[0]),
        "photos_per_second": len(points) / seconds,
        "optics_times_faster_than_scikit_learn": theirs / ours,
    },
    as_json,
)
