"""Partitions side by side: the figures that decide between them, one row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homing.geocells.quality import RADII_KM


@dataclass(frozen=True)
class Figure:
    """A column of the table: what a quality figure is called, and how it is told (a filter of the pages)."""

    title: str
    form: str  # number, km, km2 or percent


FIGURES = {
    "cells": Figure("Cells", "number"),
    "photos_per_cell.min": Figure("Photos, min", "number"),
    "photos_per_cell.median": Figure("median", "number"),
    "photos_per_cell.p95": Figure("p95", "number"),
    "photos_per_cell.max": Figure("max", "number"),
    "area_km2.median": Figure("Median area", "km2"),
    "radius_km.median": Figure("Median radius", "km"),
    "oracle.photos": Figure("Photos measured", "number"),
    "oracle.centroid.median_km": Figure("Centroid: median", "km"),
    "oracle.centroid.mean_km": Figure("mean", "km"),
    **{f"oracle.centroid.within_{radius}_km": Figure(f"≤ {radius:,} km", "percent") for radius in RADII_KM},
    "oracle.nearest.median_km": Figure("Best photo: median", "km"),
    "oracle.nearest.mean_km": Figure("mean", "km"),
    **{f"oracle.nearest.within_{radius}_km": Figure(f"≤ {radius:,} km", "percent") for radius in RADII_KM},
    "entropy_bits": Figure("Entropy, bits", "number"),
    "effective_cells_share": Figure("Effective cells", "percent"),
    "neighbours.other_cell_share": Figure("Neighbours parted", "percent"),
    "neighbours.same_cell_other_region_share": Figure("Regions mixed", "percent"),
    "neighbours.other_cell_same_region_share": Figure("Regions parted", "percent"),
    "held_out.in_empty_cells_share": Figure("Held out in empty cells", "percent"),
    "area_lost_share": Figure("Area lost", "percent"),
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
