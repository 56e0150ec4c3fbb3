"""Partitions side by side at about equal cell count: the figures that decide between them, one row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd

from homing.geocells.assign import assign
from homing.geocells.country import Settings
from homing.geocells.methods.kmeans import centre_count
from homing.geocells.partition import LATTICES, make_geocells
from homing.geocells.quality import RADII_KM, measure

TRIES = 12  # of limits, to come near a number of cells
CLOSE = 0.02  # as a share of the number


@dataclass(frozen=True)
class Figure:
    """A column of the table: the part it belongs to, its title, and how it is told (a filter of the pages)."""

    part: str
    title: str
    form: str  # number, km, km2 or percent


def _errors(answer: str, part: str) -> dict[str, Figure]:
    figures = {"median_km": Figure(part, "Median", "km"), "mean_km": Figure(part, "Mean", "km")}
    figures |= {f"within_{radius}_km": Figure(part, f"≤ {radius:,} km", "percent") for radius in RADII_KM}
    return {f"oracle.{answer}.{name}": figure for name, figure in figures.items()}


_SIZES, _BORDERS = "Cells and their sizes", "What the borders part"
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
    "neighbours.other_cell_share": Figure(_BORDERS, "Neighbours parted", "percent"),
    "neighbours.other_cell_same_region_share": Figure(_BORDERS, "Within a region", "percent"),
    "neighbours.same_cell_other_region_share": Figure(_BORDERS, "Regions mixed", "percent"),
    "held_out.in_empty_cells_share": Figure(_BORDERS, "Held out in empty cells", "percent"),
    "area_lost_share": Figure(_BORDERS, "Area lost", "percent"),
}


def compare(partitions: Mapping[str, Mapping[str, Any]], split: str = "test") -> list[dict[str, Any]]:
    """A row (name and each of FIGURES) per partition, from the content of their quality.json, by name.

    The oracle errors are those of the photos of `split`; what a partition lacks is null.
    """
    return [
        {"name": name} | {key: quality.get(key.replace("oracle.", f"oracle.{split}.", 1)) for key in FIGURES}
        for name, quality in partitions.items()
    ]


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of `compare` as a Markdown table, a figure per line and a column per partition."""
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
    """The quality of a method's partition that has about as many cells; None: as many as its settings make.

    areas, points: as for `make_geocells`; photos: those of the run (photo_id, latitude, longitude, country, split).
    """
    settings = fitted(method, cells, areas, points, settings) if cells else settings
    made = make_geocells(areas, points, settings, workers)
    found = photos.assign(cell_id=assign(made.cells, made.shaping, photos, method not in LATTICES))
    return measure(areas, made.cells, made.exceptions, found, made.shaping, settings)


def fitted(
    method: str, cells: int, areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings
) -> dict[str, Any]:
    """Settings with which a method makes about so many cells: its limits, its resolution or its level."""
    each = len(points) / cells
    chosen = dict(settings) | {"method": method, "max_radius_km": None, "h3_resolution": None}
    if method == "admin":
        level = {"area": areas["area_id"], "region": areas["region_id"]}
        own = areas["country"].isin(points["country"])
        sizes = {name: abs(ids[own].nunique() - cells) for name, ids in level.items()}
        return chosen | {"admin_level": min(sizes, key=sizes.get)}
    if method == "h3":
        return chosen | {"min_photos": each, "max_photos": each}
    ratio = 1 if method == "kmeans" else settings["max_photos"] / settings["min_photos"]
    low, high = each / 10, each * 10
    for _ in range(TRIES):  # more photos in a cell, fewer cells
        most = (low * high) ** 0.5
        chosen |= {"max_photos": most, "min_photos": most / ratio}
        made = _cells_of(method, areas, points, chosen)
        if abs(made / cells - 1) <= CLOSE:
            break
        low, high = (most, high) if made > cells else (low, most)
    return chosen


def _cells_of(method: str, areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings) -> int:
    if method in LATTICES:
        return len(LATTICES[method](points["latitude"].to_numpy(), points["longitude"].to_numpy(), settings).key)
    if method == "kmeans":
        sizes = points.loc[points["country"].isin(areas["country"]), "country"].value_counts()
        return sum(centre_count(size, settings["max_photos"]) for size in sizes)
    return len(make_geocells(areas, points, settings).cells)
