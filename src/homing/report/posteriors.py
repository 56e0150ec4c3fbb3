"""Section: for some photos, where the classifier thought they may be: cells of its 50 % and 90 % regions on a map."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.confidence.describe import LEVELS
from homing.confidence.distributions import region
from homing.readouts import ANSWER
from homing.report.geocells import drawn
from homing.report.inputs import Inputs
from homing.report.maps import NORTH, SOUTH, Map, Outline, Window
from homing.report.photos import card, evenly

SHOWN = 6
POSTERIOR = "classifier"  # whose probabilities are drawn
MARGIN, LEAST_DEGREES = 0.12, 24.0  # around what is drawn, and the height of the narrowest map
SHAPE, PIXELS = 1.6, 640.0  # width by height; width
FURTHER = "posterior-more"
KINDS = {0.5: "posterior-50", 0.9: "posterior-90"}


@dataclass(frozen=True)
class Posterior:
    """The kept cells of a photo, rows of the table of cells, with probabilities and the smallest regions (masks)."""

    rows: np.ndarray
    probability: np.ndarray
    regions: dict[float, np.ndarray]


def section(inputs: Inputs) -> dict[str, Any]:
    """A card for each chosen photo, from the best answer to the worst."""
    chosen = evenly(inputs, np.argsort(inputs.away_km[ANSWER], kind="stable"), SHOWN)
    photo_ids = inputs.truth["photo_id"].iloc[chosen].tolist()
    table = inputs.predictions[POSTERIOR]
    ranked = dict(list(table[table["photo_id"].isin(photo_ids)].sort_values("rank").groupby("photo_id")))
    cards = []
    for row, photo_id in zip(chosen, photo_ids, strict=True):
        found = posterior(ranked[photo_id], inputs.cells.table)
        cards.append(card(inputs, row) | {"map": posterior_map(inputs, row, found), "regions": told(found)})
    return {"cards": cards}


def posterior(table: pd.DataFrame, cells: gpd.GeoDataFrame) -> Posterior:
    """table: the ranked cells of one photo."""
    probability = table["probability"].to_numpy(dtype=np.float64)
    rows = pd.Index(cells["cell_id"]).get_indexer(table["cell_id"])
    return Posterior(rows, probability, {level: region(probability[None], level)[0] for level in LEVELS})


def told(found: Posterior) -> str:
    """How many cells each region has; the kept cells may hold too little of the probability for it."""
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
    """The cells of the regions in their shapes, the true place and the answer."""
    cells = inputs.cells.table.iloc[found.rows]
    true, answer = inputs.truth.iloc[row], inputs.answers.iloc[row]
    within = found.regions[max(LEVELS)]
    window = window_of(cells[within], [(place["latitude"], place["longitude"]) for place in (true, answer)])
    drawing = Map(window)
    drawing.shared_land()
    for shape, cell, number in zip(drawn(cells, window), cells.itertuples(), range(len(cells)), strict=True):
        kind = next((KINDS[level] for level in LEVELS if found.regions[level][number]), FURTHER)
        title = f"{cell.name}, {cell.country_name}: {found.probability[number]:.1%}"
        drawing.land([Outline(shape.rings, title, kind)])
    drawing.mark(answer["latitude"], answer["longitude"], 8, "diamond", "answer", "the answer")
    drawing.mark(true["latitude"], true["longitude"], 9, "cross", "truth", "the true place")
    return drawing.svg("Map of the classifier’s 50 % and 90 % regions, the answer and the true place")


def window_of(cells: gpd.GeoDataFrame, places: list[tuple[float, float]]) -> Window:
    """A window that shows cells and places (latitude, longitude) with a margin; the world where that is not less."""
    boxes = shapely.bounds(shapely.get_parts(cells.geometry.to_numpy()))
    boxes = np.vstack([boxes, [(longitude, latitude, longitude, latitude) for latitude, longitude in places]])
    west, east = narrowest(boxes[:, 0], boxes[:, 2])
    south, north = max(boxes[:, 1].min(), SOUTH), min(boxes[:, 3].max(), NORTH)
    height = max((1 + 2 * MARGIN) * (north - south), LEAST_DEGREES)
    middle = (south + north) / 2
    shrink = np.cos(np.radians(np.clip(middle, -70, 70)))
    width = max((1 + 2 * MARGIN) * (east - west), SHAPE * height / shrink)
    height = max(height, width * shrink / SHAPE)
    if width >= 360 or height >= NORTH - SOUTH:
        return Window(width=PIXELS)
    south = float(np.clip(middle - height / 2, SOUTH, NORTH - height))
    left = float((west + east - width) / 2)
    left = left + 360 if left < -180 else left
    return Window(left, south, left + width, south + height, true_latitude=float(south + height / 2), width=PIXELS)


def narrowest(west: np.ndarray, east: np.ndarray) -> tuple[float, float]:
    """The narrower of two stretches of longitude that hold all: as they are, and over 180 degrees (east beyond it)."""
    turned = np.where(east <= 0, 360, 0)
    plain, over = (west.min(), east.max()), ((west + turned).min(), (east + turned).max())
    return over if over[1] - over[0] < plain[1] - plain[0] else plain
