"""Ceilings and confidence of a run, from its tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from homing.confidence.metrics import RankedCells, confidence_metrics
from homing.errors import HomingError
from homing.evaluate.bootstrap import cluster_numbers
from homing.evaluate.ceilings import Points, ceilings, oracle_errors
from homing.evaluate.distances import rows_of
from homing.sphere import haversine_km

POINT = ["cell_id", "latitude", "longitude"]


def stage_metrics(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    cells: pd.DataFrame,
    assignments: pd.DataFrame,
    points: Mapping[str, Points],
    refined: int,
    radii_km: Sequence[float],
    seed: int,
) -> dict[str, Any]:
    """Return `ceilings` and `confidence` of the photos whose true cell is known, ready for JSON; None if none is.

    truth: photo_id, latitude, longitude, author; predictions: the classifier's `predictions` table; cells: cell_id,
    latitude, longitude, area_km2; assignments: the true cells; points: those that refinement may answer with; refined:
    how many of the best cells refinement chooses among (the ceilings use these, the confidence all). Raises HomingError
    if photos have different numbers of ranks.
    """
    ordered, ranks = _ordered(predictions)
    answered = ordered["photo_id"].to_numpy()[::ranks]
    known = assignments.set_index("photo_id")["cell_id"].reindex(answered)
    rows = rows_of(pd.Series(answered), truth["photo_id"])
    kept = known.notna().to_numpy() & (rows >= 0)
    if not kept.any():
        return {"ceilings": None, "confidence": None}
    true_cell, photos = known[kept].to_numpy(dtype=np.int64), truth.iloc[rows[kept]]
    cell, probability = (
        ordered[name].to_numpy().reshape(-1, ranks)[kept].astype(kind)
        for name, kind in (("cell_id", np.int64), ("probability", np.float64))
    )
    ranked = _ranked(cell, probability, true_cell, photos, cells)
    errors = oracle_errors(ranked.place, cell[:, :refined], ranked.centroids[:, :refined], true_cell, points)
    return {
        "ceilings": ceilings(errors, radii_km),
        "confidence": confidence_metrics(ranked, cluster_numbers(photos["author"]), radii_km, seed),
    }


def _ordered(predictions: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return predictions sorted by photo and rank, and the number of ranks, which must be the same for all."""
    ranks = int(predictions["rank"].max()) + 1
    ordered = predictions.sort_values(["photo_id", "rank"], kind="stable")
    if not (ordered["rank"].to_numpy() == np.resize(np.arange(ranks), len(ordered))).all():
        raise HomingError(f"predictions: not every photo has the ranks 0 to {ranks - 1}; predict them again")
    return ordered, ranks


def _ranked(
    cell: np.ndarray, probability: np.ndarray, true_cell: np.ndarray, photos: pd.DataFrame, cells: pd.DataFrame
) -> RankedCells:
    """Return ranked cells (n, k) with centroids and areas from the table of cells, and the truth of the photos (n,)."""
    row = pd.Index(cells["cell_id"]).get_indexer(cell.ravel()).reshape(cell.shape)
    centroids = cells[["latitude", "longitude"]].to_numpy()[row]
    place = photos[["latitude", "longitude"]].to_numpy()
    is_true = cell == true_cell[:, None]
    column = np.where(is_true.any(axis=1), is_true.argmax(axis=1), -1)
    error_km = haversine_km(*place.T, *centroids[:, 0].T)
    return RankedCells(probability, cells["area_km2"].to_numpy()[row], centroids, column, error_km, place)


def prototypes_in_cells(index: str | Path) -> Points:
    """Return the places and cells of a refinement index's prototypes; its vectors are not read."""
    table = pd.read_parquet(Path(index) / "prototypes.parquet", columns=POINT)
    return Points(*(table[name].to_numpy() for name in POINT))


def photos_in_cells(training: pd.DataFrame, assignments: pd.DataFrame) -> Points:
    """Return the places and cells of training photos (photo_id, latitude, longitude)."""
    joined = training.merge(assignments, on="photo_id")
    return Points(*(joined[name].to_numpy() for name in POINT))
