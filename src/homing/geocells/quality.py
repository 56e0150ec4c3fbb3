"""Quality of a partition: sizes, land kept, the error of a perfect classifier, and what its borders separate.

Figures are flat: `oracle.test.centroid.median_km` is one key. docs/geocells.md defines them.
"""

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing.geocells.geometry.land import area_km2, areas_km2, disjoint, union
from homing.geocells.partition import LATTICES
from homing.sphere import chord_to_km, haversine_km, unit_vectors

RADII_KM = (1, 25, 200, 750, 2500)
HELD_OUT = ("val", "test")
CELL_SPACING = 4.0  # in the coordinate that separates cells; points on the unit sphere are at most 2 apart
PLACE = ["latitude", "longitude"]


def measure(
    areas: gpd.GeoDataFrame,
    cells: gpd.GeoDataFrame,
    exceptions: list[dict[str, Any]],
    photos: pd.DataFrame,
    shaping: pd.DataFrame,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the contents of quality.json.

    photos: those of the run's data set (photo_id, latitude, longitude, cell_id, split); shaping: those that shaped the
    cells (photo_id, latitude, longitude, cell_id, area_id, country). Undefined figures, such as the neighbours of a
    single place or the land lost by a lattice, are None.
    """
    with_photos = set(shaping["country"])
    figures: dict[str, Any] = {"cells": len(cells), "countries": len(with_photos)}
    for name, column in (("photos_per_cell", "photos"), ("area_km2", "area_km2"), ("radius_km", "radius_km")):
        figures |= spread(name, cells[column].to_numpy())
    return (
        figures
        | {"area_lost_share": None if settings["method"] in LATTICES else area_lost_share(areas, cells)}
        | entropy(shaping["cell_id"].to_numpy(), len(cells))
        | neighbours(areas, shaping)
        | held_out(photos, shaping)
        | oracle(cells, photos, shaping)
        | {"countries_without_photos": sorted(set(areas["country"]) - with_photos)}
        | {"exceptions": exceptions, "settings": dict(settings)}
    )


def spread(name: str, values: np.ndarray) -> dict[str, float]:
    """Return `<name>.min`, `.median`, `.p95` (95th percentile) and `.max` of values."""
    found = np.percentile(values, [0, 50, 95, 100]).tolist()
    return {f"{name}.{part}": value for part, value in zip(("min", "median", "p95", "max"), found, strict=True)}


def area_lost_share(areas: gpd.GeoDataFrame, cells: gpd.GeoDataFrame) -> float:
    """Return the share of the land of countries with cells that is in no cell or in two; overlaps count once."""
    lost = total = 0.0
    for country, own in areas[areas["country"].isin(cells["country"])].groupby("country"):
        whole = areas_km2(disjoint(own.sort_values("area_id").geometry.to_numpy())).sum()
        shapes = cells.geometry[cells["country"] == country].to_numpy()
        kept, once = areas_km2(shapes).sum(), area_km2(union(shapes))
        lost, total = lost + max(abs(whole - kept), abs(whole - once)), total + whole
    return lost / total


def entropy(cell_ids: np.ndarray, cells: int) -> dict[str, float]:
    """Return the entropy of the cells in bits, its perplexity (effective cells), and that as a share of `cells`.

    cell_ids: (n,) of the shaping photos.
    """
    counts = np.unique(cell_ids, return_counts=True)[1]
    share = counts / counts.sum()
    bits = max(0.0, float(-(share * np.log2(share)).sum()))
    return {"entropy_bits": bits, "effective_cells": 2**bits, "effective_cells_share": 2**bits / cells}


def neighbours(areas: gpd.GeoDataFrame, shaping: pd.DataFrame) -> dict[str, float | None]:
    """Return how often a border of cells, or of regions, lies between a shaping photo and its nearest neighbour.

    The neighbour is the nearest photo at another place. Figures are shares of the photos. A country without regions
    counts as one, and so do all photos in no area.
    """
    region = areas["region_id"].fillna("").astype(str) + " of " + areas["country"]
    codes = pd.Series(pd.factorize(region)[0], index=areas["area_id"])
    places = shaping.assign(region=shaping["area_id"].map(codes).fillna(-1)).groupby(
        ["cell_id", *PLACE], as_index=False
    )
    places = places.agg(region=("region", "first"), photos=("region", "size"))
    names = ("other_cell", "other_region", "same_cell_other_region", "other_cell_same_region")
    if len(places) < 2:
        return {f"neighbours.{name}_share": None for name in names}
    vectors = unit_vectors(places["latitude"], places["longitude"])
    _, found = cKDTree(vectors).query(vectors, k=2)
    nearest = np.where(found[:, 0] == np.arange(len(places)), found[:, 1], found[:, 0])
    other_cell, other_region = (
        places[name].to_numpy() != places[name].to_numpy()[nearest] for name in ("cell_id", "region")
    )
    flags = [other_cell, other_region, ~other_cell & other_region, other_cell & ~other_region]
    shares = np.average(flags, axis=1, weights=places["photos"])
    return {f"neighbours.{name}_share": float(share) for name, share in zip(names, shares, strict=True)}


def held_out(photos: pd.DataFrame, shaping: pd.DataFrame) -> dict[str, int | float | None]:
    """Return the number of val and test photos, and their share in cells that no photo shaped (never a true answer)."""
    cell_ids = photos.loc[photos["split"].isin(HELD_OUT), "cell_id"]
    empty = ~cell_ids.isin(shaping["cell_id"].unique())
    return {"held_out.photos": len(empty), "held_out.in_empty_cells_share": float(empty.mean()) if len(empty) else None}


def oracle(cells: gpd.GeoDataFrame, photos: pd.DataFrame, shaping: pd.DataFrame) -> dict[str, float]:
    """Return the error of a perfect classifier in each split, `oracle.<split>.<answer>.<figure>`.

    Its answer is the centroid of the photo's own cell, or the nearest of the photos that shaped that cell.
    """
    centroid = centroid_km(cells, photos)
    nearest = nearest_km(photos, shaping)
    answers = {"centroid": centroid, "nearest": np.where(np.isnan(nearest), centroid, nearest)}
    figures: dict[str, float] = {}
    for split, rows in photos.reset_index(drop=True).groupby("split", sort=True).indices.items():
        figures[f"oracle.{split}.photos"] = len(rows)
        for name, error_km in answers.items():
            figures |= {f"oracle.{split}.{name}.{key}": value for key, value in errors(error_km[rows]).items()}
    return figures


def errors(error_km: np.ndarray) -> dict[str, float]:
    """Return median, mean, and the share of errors of at most each of RADII_KM."""
    shares = {f"within_{radius}_km": float((error_km <= radius).mean()) for radius in RADII_KM}
    return {"median_km": float(np.median(error_km)), "mean_km": float(error_km.mean())} | shares


def centroid_km(cells: gpd.GeoDataFrame, photos: pd.DataFrame) -> np.ndarray:
    """Return the distance (n,) of each photo from the centroid of its own cell."""
    centroid = cells.set_index("cell_id")[PLACE].loc[photos["cell_id"]].to_numpy()
    return haversine_km(photos["latitude"], photos["longitude"], centroid[:, 0], centroid[:, 1])


def nearest_km(photos: pd.DataFrame, shaping: pd.DataFrame) -> np.ndarray:
    """Return the distance (n,) of each photo from the nearest other one that shaped its cell; NaN without one."""
    places = shaping.groupby(["cell_id", *PLACE], as_index=False).size()
    order = np.argsort(photos["cell_id"].to_numpy(), kind="stable")  # faster: near photos are looked up together
    queries = _separate_cells(photos)[order]
    chord, place = cKDTree(_separate_cells(places)).query(queries, k=2, distance_upper_bound=CELL_SPACING / 2)
    # A photo that shaped its cell is its own nearest neighbour: take the second, unless others are at its place.
    alone = _shaped_own_cell(photos, shaping)[order] & (np.append(places["size"], 0)[place[:, 0]] == 1)
    nearest = np.empty(len(photos))
    nearest[order] = np.where(alone, chord[:, 1], chord[:, 0])
    return np.where(np.isinf(nearest), np.nan, chord_to_km(nearest))


def _separate_cells(points: pd.DataFrame) -> np.ndarray:
    """Return unit vectors with a fourth coordinate, (n, 4), that keeps points of different cells far apart."""
    return np.column_stack([unit_vectors(points["latitude"], points["longitude"]), CELL_SPACING * points["cell_id"]])


def _shaped_own_cell(photos: pd.DataFrame, shaping: pd.DataFrame) -> np.ndarray:
    """Return whether each photo (n,) shaped its own cell. Ids alone do not tell: another data set may use the same."""
    row = pd.Index(shaping["photo_id"]).get_indexer(photos["photo_id"])
    same = [photos[name].to_numpy() == shaping[name].to_numpy()[row] for name in (*PLACE, "cell_id")]
    return (row >= 0) & np.logical_and.reduce(same)


def per_cell(cells: gpd.GeoDataFrame, photos: pd.DataFrame) -> np.ndarray:
    """Return the oracle error in km of each cell (C,): median distance of its photos from its centroid; else NaN."""
    medians = pd.Series(centroid_km(cells, photos)).groupby(photos["cell_id"].to_numpy()).median()
    return medians.reindex(cells["cell_id"]).to_numpy()
