"""Reading what rule embed_photos wrote."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from homing.errors import HomingError


def read_embeddings(
    vectors: str | Path, photo_ids: str | Path, wanted: Collection[str] | None = None
) -> tuple[pd.Series, np.ndarray]:
    """photo_ids and embeddings (n, d), float16; of the `wanted` photos alone when given. Raises HomingError."""
    array = np.load(vectors, mmap_mode="r", allow_pickle=False)
    ids = pd.read_parquet(photo_ids)["photo_id"]
    if len(ids) != len(array):
        raise HomingError(f"{vectors}: {len(array)} rows, but {photo_ids} names {len(ids)} photos; embed them again")
    if wanted is None:
        return ids, array
    rows = np.flatnonzero(ids.isin(wanted))
    return ids.iloc[rows].reset_index(drop=True), array[rows]


def read_in_order(vectors: str | Path, photo_ids: str | Path, wanted: Sequence[str]) -> np.ndarray:
    """Embeddings (n, d), float16, one for each of the `wanted` photos in their order. Raises HomingError."""
    ids, array = read_embeddings(vectors, photo_ids, wanted)
    rows = pd.Index(ids).get_indexer(pd.Index(wanted, dtype=ids.dtype))
    if (rows < 0).any():
        raise HomingError(f"{vectors}: no embedding of photo {wanted[int(rows.argmin())]!r}; embed the photos again")
    return array[rows]
