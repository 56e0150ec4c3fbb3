"""Candidates as rows of a `predictions` table, and back."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.refine.search import COLUMNS, Candidates


def best_cells(probability: np.ndarray, cells: pd.DataFrame, count: int) -> Candidates:
    """Return the `count` most probable cells of each photo, at their centroids.

    probability: (n, C); cells: cell_id, latitude, longitude, a row per column of `probability`.
    """
    count = min(count, probability.shape[1])
    order = np.argsort(-probability, axis=1, kind="stable")[:, :count]
    latitude, longitude = (cells[name].to_numpy()[order] for name in ("latitude", "longitude"))
    cell_id = cells["cell_id"].to_numpy()[order]
    return Candidates(cell_id, np.take_along_axis(probability, order, axis=1), latitude, longitude)


def to_table(photo_ids: Sequence[str] | Sequence[int], candidates: Candidates) -> pd.DataFrame:
    """Return a `predictions` table with one row per photo and candidate."""
    photos, ranks = candidates.cell_id.shape
    frame = pd.DataFrame(
        {"photo_id": np.repeat(np.asarray(photo_ids, dtype=object), ranks), "rank": np.tile(np.arange(ranks), photos)}
    )
    return frame.assign(**{name: getattr(candidates, name).ravel() for name in COLUMNS})


def from_table(frame: pd.DataFrame) -> tuple[list[str], Candidates]:
    """Return the photo_ids of a `predictions` table, in its order, and their candidates.

    Raises HomingError unless each photo has the ranks 0..k-1 in consecutive rows.
    """
    ranks = int(frame["rank"].max()) + 1 if len(frame) else 1
    if not _is_rectangular(frame, ranks):
        raise HomingError("predictions: each photo must have the same ranks, 0 first, in consecutive rows")
    ids = frame["photo_id"].to_numpy().reshape(-1, ranks)[:, 0].tolist()
    return ids, Candidates(*(frame[name].to_numpy().reshape(-1, ranks) for name in COLUMNS))


def _is_rectangular(frame: pd.DataFrame, ranks: int) -> bool:
    """True if the rows are the ranks 0..ranks - 1 of one photo after the other."""
    if len(frame) % ranks or not (frame["rank"].to_numpy().reshape(-1, ranks) == np.arange(ranks)).all():
        return False
    ids = frame["photo_id"].to_numpy().reshape(-1, ranks)
    return bool((ids == ids[:, :1]).all())
