"""Section of probability maps: for some photos, the cells of the classifier's 50 % and 90 % regions."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.confidence.metrics import LEVELS
from homing.confidence.regions import smallest_region
from homing.readouts import ANSWER
from homing.report.geocells import drawn
from homing.report.inputs import Inputs
from homing.report.maps import NORTH, SOUTH, Map, Outline, Window
from homing.report.photos import card, spread_evenly

MAX_CARDS = 6
POSTERIOR = "classifier"  # the readout whose probabilities are drawn
MARGIN, MIN_DEGREES = 0.12, 24.0  # margin as a share of the extent, and the smallest height of a map
ASPECT, PIXELS = 1.6, 640.0  # width / height; width
OTHER_CELLS = "posterior-more"
KINDS = {0.5: "posterior-50", 0.9: "posterior-90"}


@dataclass(frozen=True)
class Posterior:
    """The kept cells of a photo, most probable first."""

    rows: np.ndarray  # (k,) rows of the table of cells
    probability: np.ndarray  # (k,)
    regions: dict[float, np.ndarray]  # (k,) mask of the smallest region by its probability


def section(inputs: Inputs) -> dict[str, Any]:
    """Return a card for each chosen photo, from the best answer to the worst."""
    chosen = spread_evenly(inputs, np.argsort(inputs.error_km[ANSWER], kind="stable"), MAX_CARDS)
    photo_ids = inputs.truth["photo_id"].iloc[chosen].tolist()
    table = inputs.predictions[POSTERIOR]
    ranked = dict(list(table[table["photo_id"].isin(photo_ids)].sort_values("rank").groupby("photo_id")))
    cards = []
    for row, photo_id in zip(chosen, photo_ids, strict=True):
        found = posterior(ranked[photo_id], inputs.cells.table)
        cards.append(card(inputs, row) | {"map": posterior_map(inputs, row, found), "regions": region_sizes(found)})
    return {"cards": cards}


def posterior(table: pd.DataFrame, cells: gpd.GeoDataFrame) -> Posterior:
    """Return the posterior of one photo from its ranked cells, a part of a `predictions` table."""
    probability = table["probability"].to_numpy(dtype=np.float64)
    rows = pd.Index(cells["cell_id"]).get_indexer(table["cell_id"])
    return Posterior(rows, probability, {level: smallest_region(probability[None], level)[0] for level in LEVELS})


def region_sizes(found: Posterior) -> str:
    """Describe the number of cells in each region; the kept cells may hold too little probability for a region."""
    kept = float(found.probability.sum())
    reached = [
        f"{level:.0%}: {mask.sum()} cell{'s' if mask.sum() > 1 else ''}"
        for level, mask in found.regions.items()
        if kept >= level
    ]
    beyond = [f"{level:.0%}" for level in found.regions if kept < level]
    if beyond:
        few = f"more than the {len(found.rows)} kept cells, which hold {kept:.1%}"
        reached.append(f"{' and '.join(beyond)}: {few}")
    return "; ".join(reached)


def posterior_map(inputs: Inputs, row: int, found: Posterior) -> str:
    """Draw the cells of the regions, the true place and the answer."""
    cells = inputs.cells.table.iloc[found.rows]
    true, answer = inputs.truth.iloc[row], inputs.answers.iloc[row]
    within = found.regions[max(LEVELS)]
    window = window_of(cells[within], [(place["latitude"], place["longitude"]) for place in (true, answer)])
    drawing = Map(window)
    drawing.shared_land()
    for shape, cell, number in zip(drawn(cells, window), cells.itertuples(), range(len(cells)), strict=True):
        kind = next((KINDS[level] for level in LEVELS if found.regions[level][number]), OTHER_CELLS)
        title = f"{cell.name}, {cell.country_name}: {found.probability[number]:.1%}"
        drawing.land([Outline(shape.rings, title, kind)])
    drawing.mark(answer["latitude"], answer["longitude"], 8, "diamond", "answer", "the answer")
    drawing.mark(true["latitude"], true["longitude"], 9, "cross", "truth", "the true place")
    return drawing.svg("Map of the classifier’s 50 % and 90 % regions, the answer and the true place")


def window_of(cells: gpd.GeoDataFrame, places: list[tuple[float, float]]) -> Window:
    """Return a window on the cells and places (latitude, longitude) with a margin, at most the world."""
    boxes = shapely.bounds(shapely.get_parts(cells.geometry.to_numpy()))
    boxes = np.vstack([boxes, [(longitude, latitude, longitude, latitude) for latitude, longitude in places]])
    west, east = narrowest_range(boxes[:, 0], boxes[:, 2])
    south, north = max(boxes[:, 1].min(), SOUTH), min(boxes[:, 3].max(), NORTH)
    height = max((1 + 2 * MARGIN) * (north - south), MIN_DEGREES)
    centre = (south + north) / 2
    shrink = np.cos(np.radians(np.clip(centre, -70, 70)))
    width = max((1 + 2 * MARGIN) * (east - west), ASPECT * height / shrink)
    height = max(height, width * shrink / ASPECT)
    if width >= 360 or height >= NORTH - SOUTH:
        return Window(width=PIXELS)
    south = float(np.clip(centre - height / 2, SOUTH, NORTH - height))
    left = float((west + east - width) / 2)
    left = left + 360 if left < -180 else left
    return Window(left, south, left + width, south + height, true_latitude=float(south + height / 2), width=PIXELS)


def narrowest_range(west: np.ndarray, east: np.ndarray) -> tuple[float, float]:
    """Return the narrower range of longitudes that holds all: as given, or across the antimeridian (east above 180)."""
    shift = np.where(east <= 0, 360, 0)
    direct, across = (west.min(), east.max()), ((west + shift).min(), (east + shift).max())
    return across if across[1] - across[0] < direct[1] - direct[0] else direct
