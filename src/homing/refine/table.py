"""Candidates to and from a `predictions` table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.refine.search import Candidates


def best_cells(probability: np.ndarray, cells: pd.DataFrame, count: int) -> Candidates:
    """The `count` most probable cells of each photo; probability (n, C); cells: cell_id, latitude, longitude."""
    count = min(count, probability.shape[1])
    order = np.argsort(-probability, axis=1, kind="stable")[:, :count]
    columns = (cells[name].to_numpy()[order] for name in ("latitude", "longitude"))
    return Candidates(cells["cell_id"].to_numpy()[order], np.take_along_axis(probability, order, axis=1), *columns)


def to_table(photo_ids: Sequence[str], candidates: Candidates) -> pd.DataFrame:
    """A `predictions` table, one row per photo and candidate."""
    photos, ranks = candidates.cell_id.shape
    frame = pd.DataFrame(
        {"photo_id": np.repeat(np.asarray(photo_ids, dtype=object), ranks), "rank": np.tile(np.arange(ranks), photos)}
    )
    return frame.assign(**{name: getattr(candidates, name).ravel() for name in Candidates.__annotations__})


def from_table(frame: pd.DataFrame) -> tuple[list[str], Candidates]:
    """photo_ids, in the order of the table, and their candidates. Raises HomingError when ranks are not 0..k-1 each."""
    ranks = int(frame["rank"].max()) + 1 if len(frame) else 1
    whole = len(frame) % ranks == 0 and (frame["rank"].to_numpy().reshape(-1, ranks) == np.arange(ranks)).all()
    ids = frame["photo_id"].to_numpy().reshape(-1, ranks) if whole else None
    if not whole or not (ids == ids[:, :1]).all():
        raise HomingError("predictions: each photo must have the same ranks, 0 first, in consecutive rows")
    columns = (frame[name].to_numpy().reshape(-1, ranks) for name in Candidates.__annotations__)
    return ids[:, 0].tolist(), Candidates(*columns)
