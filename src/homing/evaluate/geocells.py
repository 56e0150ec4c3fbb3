"""Accuracy of the classifier: how often the true geocell is the first answer, or among the first five."""

from typing import Any

import pandas as pd


def score_geocells(predictions: pd.DataFrame, assignments: pd.DataFrame, cells: int) -> dict[str, Any]:
    """Return accuracy, top5, chance (1 / cells) and n; accuracies are None if no photo has a known cell.

    predictions: a `predictions` table; assignments: an `assignments` table, the true cells.
    """
    known = predictions.merge(assignments, on="photo_id", suffixes=("", "_true"))
    photos = known["photo_id"].nunique()
    if not photos:
        return {"accuracy": None, "top5": None, "chance": 1 / cells, "n": 0}
    hit = known[known["cell_id"] == known["cell_id_true"]]
    return {
        "accuracy": float((hit["rank"] == 0).sum() / photos),
        "top5": float((hit["rank"] < 5).sum() / photos),
        "chance": 1 / cells,
        "n": int(photos),
    }
