"""What a run's own tables tell beyond distances: which stage binds, and whether its probabilities can be trusted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from homing.confidence.metrics import RankedCells, confidence_metrics
from homing.errors import HomingError
from homing.evaluate.bootstrap import cluster_numbers
from homing.evaluate.ceilings import Points, ceilings, stages
from homing.evaluate.distances import rows_of
from homing.sphere import haversine_km

POINT = ["cell_id", "latitude", "longitude"]


def describe_stages(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    cells: pd.DataFrame,
    assignments: pd.DataFrame,
    points: Mapping[str, Points],
    refined: int,
    radii_km: Sequence[float],
    seed: int,
) -> dict[str, Any]:
    """`ceilings` and `confidence` of the photos whose cell is known; both null where none is.

    truth: photo_id, latitude, longitude, author; predictions: of the classifier, a `predictions` table; cells: cell_id,
    latitude, longitude, area_km2; assignments: the cell of each photo; points: what an answer may be moved to;
    refined: how many of the best cells refinement may choose among, the others count for the confidence alone. Raises
    HomingError when photos have different numbers of ranks.
    """
    ranks = int(predictions["rank"].max()) + 1
    ordered = predictions.sort_values(["photo_id", "rank"], kind="stable")
    if not (ordered["rank"].to_numpy() == np.resize(np.arange(ranks), len(ordered))).all():
        raise HomingError(f"predictions: not every photo has the ranks 0 to {ranks - 1}; predict them again")
    answered = ordered["photo_id"].to_numpy()[::ranks]
    known = assignments.set_index("photo_id")["cell_id"].reindex(answered)
    at = rows_of(pd.Series(answered), truth["photo_id"])
    kept = known.notna().to_numpy() & (at >= 0)
    if not kept.any():
        return {"ceilings": None, "confidence": None}
    true_cell, photos = known[kept].to_numpy(dtype=np.int64), truth.iloc[at[kept]]
    cell, probability = (
        ordered[name].to_numpy().reshape(-1, ranks)[kept].astype(kind)
        for name, kind in (("cell_id", np.int64), ("probability", np.float64))
    )
    row = pd.Index(cells["cell_id"]).get_indexer(cell.ravel()).reshape(cell.shape)
    middles = cells[["latitude", "longitude"]].to_numpy()[row]
    place = photos[["latitude", "longitude"]].to_numpy()
    column = np.where((cell == true_cell[:, None]).any(axis=1), (cell == true_cell[:, None]).argmax(axis=1), -1)
    away = haversine_km(*place.T, *middles[:, 0].T)
    ranked = RankedCells(probability, cells["area_km2"].to_numpy()[row], middles, column, away, place)
    reached = stages(place, cell[:, :refined], middles[:, :refined], true_cell, points)
    return {
        "ceilings": ceilings(reached, radii_km),
        "confidence": confidence_metrics(ranked, cluster_numbers(photos["author"]), radii_km, seed),
    }


def prototypes_in_cells(index: str | Path) -> Points:
    """The places of a refinement index's prototypes with their cells; of its folder no vector is read."""
    table = pd.read_parquet(Path(index) / "prototypes.parquet", columns=POINT)
    return Points(*(table[name].to_numpy() for name in POINT))


def photos_in_cells(training: pd.DataFrame, assignments: pd.DataFrame) -> Points:
    """The places of training photos (photo_id, latitude, longitude) with their cells."""
    joined = training.merge(assignments, on="photo_id")
    return Points(*(joined[name].to_numpy() for name in POINT))
