"""Regions: the smallest sets of cells that hold a stated probability, and how often they hold the true cell.

Masks and probabilities have one row per photo and one column per cell.
"""

from dataclasses import dataclass

import numpy as np


def mass_before(probabilities: np.ndarray) -> np.ndarray:
    """Return for each cell the total probability (n, c) of the cells ranked before it; ties rank by column."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.concatenate([np.zeros((len(ordered), 1)), np.cumsum(ordered, axis=1)[:, :-1]], axis=1)
    found = np.empty_like(before)
    np.put_along_axis(found, order, before, axis=1)
    return found


def smallest_region(probabilities: np.ndarray, level: float) -> np.ndarray:
    """Return the mask (n, c) of the fewest cells whose probabilities sum to at least `level`, the most probable first.

    It holds the true cell with probability `level` if the model is calibrated.
    """
    return mass_before(probabilities) < level


@dataclass(frozen=True)
class Coverage:
    """How often regions hold the true cell, and how large they are."""

    level: float
    covered: float
    median_area_km2: float
    mean_area_km2: float
    median_cells: float


def coverage(regions: np.ndarray, true: np.ndarray, areas_km2: np.ndarray, level: float) -> Coverage:
    """Return the coverage of regions, masks (n, c).

    true: (n,), the column of the true cell, or -1 if it has no column (not covered); areas_km2: (c,) or (n, c).
    """
    inside = np.where(true >= 0, regions[np.arange(len(true)), true], False)
    area = (regions * areas_km2).sum(axis=1)
    cells = regions.sum(axis=1)
    return Coverage(level, float(inside.mean()), float(np.median(area)), float(area.mean()), float(np.median(cells)))
