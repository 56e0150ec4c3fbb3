"""Read the embeddings that the rule embed_photos wrote."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from homing.errors import HomingError


def read_embeddings(
    vectors: str | Path, photo_ids: str | Path, subset: Collection[str] | None = None
) -> tuple[pd.Series, np.ndarray]:
    """Return photo_ids (n,) and embeddings, float16 (n, d), of all photos or of those in `subset`, in the file's order.

    Raises HomingError if the two files differ in length.
    """
    array = np.load(vectors, mmap_mode="r", allow_pickle=False)
    ids = pd.read_parquet(photo_ids)["photo_id"]
    if len(ids) != len(array):
        raise HomingError(f"{vectors}: {len(array)} rows, but {photo_ids} names {len(ids)} photos; embed them again")
    if subset is None:
        return ids, array
    rows = np.flatnonzero(ids.isin(subset))
    return ids.iloc[rows].reset_index(drop=True), array[rows]


def read_in_order(vectors: str | Path, photo_ids: str | Path, order: Sequence[str]) -> np.ndarray:
    """Return embeddings, float16 (n, d), one for each photo_id of `order`. Raises HomingError if one is missing."""
    ids, array = read_embeddings(vectors, photo_ids, order)
    rows = pd.Index(ids).get_indexer(pd.Index(order, dtype=ids.dtype))
    if (rows < 0).any():
        raise HomingError(f"{vectors}: no embedding of photo {order[int(rows.argmin())]!r}; embed the photos again")
    return array[rows]
