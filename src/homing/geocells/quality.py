"""What a partition is worth: sizes, area kept, and the error of a perfect classifier."""

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from homing.geocells.land import area_km2, disjoint, union
from homing.sphere import haversine_km

RADII_KM = (1, 25, 200, 750, 2500)


def measure(
    areas: gpd.GeoDataFrame,
    cells: gpd.GeoDataFrame,
    exceptions: list[dict[str, Any]],
    photos: pd.DataFrame,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of quality.json; photos: latitude, longitude, cell_id, split of the run's data set."""
    with_photos = set(cells["country"])
    land = areas[areas["country"].isin(with_photos)]
    return {
        "cells": len(cells),
        "countries": len(with_photos),
        "countries_without_photos": sorted(set(areas["country"]) - with_photos),
        "photos_per_cell": spread(cells["photos"].to_numpy()),
        "area_km2": spread(cells["area_km2"].to_numpy()),
        "area_lost_share": area_lost_share(land, cells),
        "oracle": {split: oracle(cells, own) for split, own in photos.groupby("split", sort=True)},
        "exceptions": exceptions,
        "settings": dict(settings),
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """Minimum, median, 95th percentile and maximum."""
    low, middle, high, top = np.percentile(values, [0, 50, 95, 100])
    return {"min": float(low), "median": float(middle), "p95": float(high), "max": float(top)}


def area_lost_share(land: gpd.GeoDataFrame, cells: gpd.GeoDataFrame) -> float:
    """Share of the countries' land that is in no cell, or twice; what overlaps in the areas themselves counts once."""
    lost = total = 0.0
    for country, own in land.groupby("country"):
        whole = sum(map(area_km2, disjoint(own.sort_values("area_id").geometry.to_numpy())))
        kept = area_km2(union(cells.geometry[cells["country"] == country].to_numpy()))
        lost, total = lost + abs(whole - kept), total + whole
    return lost / total


def oracle(cells: gpd.GeoDataFrame, photos: pd.DataFrame) -> dict[str, float]:
    """The error of answering the centroid of each photo's own cell: no classifier on these cells does better."""
    centre = cells.set_index("cell_id").loc[photos["cell_id"], ["latitude", "longitude"]].to_numpy()
    away = haversine_km(photos["latitude"], photos["longitude"], centre[:, 0], centre[:, 1])
    shares = {f"within_{radius}_km": float((away <= radius).mean()) for radius in RADII_KM}
    return {"photos": len(photos), "median_km": float(np.median(away)), "mean_km": float(away.mean())} | shares
