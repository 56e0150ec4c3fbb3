"""Comparison of partitions with about equal numbers of cells: one row of figures each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd

from homing.geocells.assign import assign
from homing.geocells.methods.country import Settings
from homing.geocells.methods.kmeans import centroid_count
from homing.geocells.partition import LATTICES, make_geocells
from homing.geocells.quality import RADII_KM, measure

MAX_TRIALS = 12  # of the bisection for a number of cells
TOLERANCE = 0.02  # of the number of cells, as a share


@dataclass(frozen=True)
class Figure:
    """A column of the table: the part of the table, its title, and its format (a filter of the HTML pages)."""

    part: str
    title: str
    form: str  # number, km, km2 or percent


def _errors(answer: str, part: str) -> dict[str, Figure]:
    figures = {"median_km": Figure(part, "Median", "km"), "mean_km": Figure(part, "Mean", "km")}
    figures |= {f"within_{radius}_km": Figure(part, f"≤ {radius:,} km", "percent") for radius in RADII_KM}
    return {f"oracle.{answer}.{name}": figure for name, figure in figures.items()}


_SIZES, _BORDERS = "Cells and their sizes", "What the borders separate"
_CENTROID = "Error of a perfect classifier that answers the centroid of the cell"
FIGURES = {
    "cells": Figure(_SIZES, "Cells", "number"),
    "photos_per_cell.min": Figure(_SIZES, "Photos, min", "number"),
    "photos_per_cell.median": Figure(_SIZES, "Median", "number"),
    "photos_per_cell.p95": Figure(_SIZES, "95 %", "number"),
    "photos_per_cell.max": Figure(_SIZES, "Max", "number"),
    "effective_cells_share": Figure(_SIZES, "Effective", "percent"),
    "entropy_bits": Figure(_SIZES, "Entropy, bits", "number"),
    "area_km2.median": Figure(_SIZES, "Median area", "km2"),
    "radius_km.median": Figure(_SIZES, "Median radius", "km"),
    "oracle.photos": Figure(_CENTROID, "Photos", "number"),
    **_errors("centroid", _CENTROID),
    **_errors("nearest", "Error of a perfect classifier that answers the best training photo of the cell"),
    "neighbours.other_cell_share": Figure(_BORDERS, "Neighbours in another cell", "percent"),
    "neighbours.other_cell_same_region_share": Figure(_BORDERS, "Within a region", "percent"),
    "neighbours.same_cell_other_region_share": Figure(_BORDERS, "Regions mixed", "percent"),
    "held_out.in_empty_cells_share": Figure(_BORDERS, "Held out in empty cells", "percent"),
    "area_lost_share": Figure(_BORDERS, "Area lost", "percent"),
}


def compare(partitions: Mapping[str, Mapping[str, Any]], split: str = "test") -> list[dict[str, Any]]:
    """Return a row (name and FIGURES) per partition from the contents of their quality.json.

    The oracle errors are those of the photos of `split`; figures that a partition lacks are None.
    """
    return [
        {"name": name} | {key: quality.get(key.replace("oracle.", f"oracle.{split}.", 1)) for key in FIGURES}
        for name, quality in partitions.items()
    ]


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format the rows of `compare` as a Markdown table, a figure per line and a partition per column."""
    lines = [["", *(row["name"] for row in rows)]]
    lines += [[key, *("–" if row[key] is None else f"{row[key]:.4g}" for row in rows)] for key in FIGURES]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def at_equal_count(
    method: str,
    cells: int | None,
    areas: gpd.GeoDataFrame,
    points: pd.DataFrame,
    photos: pd.DataFrame,
    settings: Settings,
    workers: int,
) -> dict[str, Any]:
    """Return the quality of a method's partition with about `cells` cells; None: with the settings as they are.

    areas, points: as for `make_geocells`; photos: those of the run (photo_id, latitude, longitude, country, split).
    """
    settings = fit_settings(method, cells, areas, points, settings) if cells else settings
    made = make_geocells(areas, points, settings, workers)
    found = photos.assign(cell_id=assign(made.cells, made.shaping, photos, method not in LATTICES))
    return measure(areas, made.cells, made.exceptions, found, made.shaping, settings)


def fit_settings(
    method: str, cells: int, areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings
) -> dict[str, Any]:
    """Return settings with which a method makes about `cells` cells: limits, resolution or administrative level."""
    photos_per_cell = len(points) / cells
    chosen = dict(settings) | {"method": method, "max_radius_km": None, "h3_resolution": None}
    if method == "admin":
        level = {"area": areas["area_id"], "region": areas["region_id"]}
        own = areas["country"].isin(points["country"])
        sizes = {name: abs(ids[own].nunique() - cells) for name, ids in level.items()}
        return chosen | {"admin_level": min(sizes, key=lambda name: sizes[name])}
    if method == "h3":
        return chosen | {"min_photos": photos_per_cell, "max_photos": photos_per_cell}
    ratio = 1 if method == "kmeans" else settings["max_photos"] / settings["min_photos"]
    low, high = photos_per_cell / 10, photos_per_cell * 10
    for _ in range(MAX_TRIALS):  # bisection on a logarithmic scale: more photos per cell make fewer cells
        max_photos = (low * high) ** 0.5
        chosen |= {"max_photos": max_photos, "min_photos": max_photos / ratio}
        made = _count_cells(method, areas, points, chosen)
        if abs(made / cells - 1) <= TOLERANCE:
            break
        low, high = (max_photos, high) if made > cells else (low, max_photos)
    return chosen


def _count_cells(method: str, areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings) -> int:
    """Return the number of cells that a method makes; for k-means the number of centroids it starts from."""
    if method in LATTICES:
        return len(LATTICES[method](points["latitude"].to_numpy(), points["longitude"].to_numpy(), settings).key)
    if method == "kmeans":
        sizes = points.loc[points["country"].isin(areas["country"]), "country"].value_counts()
        return sum(centroid_count(size, settings["max_photos"]) for size in sizes)
    return len(make_geocells(areas, points, settings).cells)
