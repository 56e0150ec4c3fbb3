"""Guesses without a model: the best constant, and the training photo with the most similar thumbnail."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from PIL import Image

from homing.sphere import haversine_km

THUMBNAIL = 16  # pixels
CONSIDERED = 2000  # places tried as the constant, at most
MEASURED = 20000  # training photos the constant is measured on, at most
CHUNK = 512


def constant_guess(latitude: np.ndarray, longitude: np.ndarray, seed: int) -> tuple[float, float]:
    """The training photo's place (degrees) with the smallest median distance to the training photos.

    Of more than `CONSIDERED` photos a seeded sample is tried, on a sample of `MEASURED`.
    """
    rng = np.random.default_rng(seed)
    tried, measured = (rng.permutation(len(latitude))[:count] for count in (CONSIDERED, MEASURED))
    medians = [
        np.median(haversine_km(latitude[one], longitude[one], latitude[measured], longitude[measured])) for one in tried
    ]
    best = tried[int(np.argmin(medians))]
    return float(latitude[best]), float(longitude[best])


def thumbnail(image: Image.Image) -> np.ndarray:
    """An RGB image as 16 x 16 pixels, float32 (768,) in 0..1."""
    small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / 255


def thumbnails(photo_ids: Sequence[str], read: Callable[[str], Image.Image]) -> np.ndarray:
    """Thumbnails (n, 768) of photos; `read` gives the image of a photo_id."""
    if not len(photo_ids):
        return np.empty((0, 3 * THUMBNAIL**2), dtype=np.float32)
    return np.stack([thumbnail(read(photo_id)) for photo_id in photo_ids])


def nearest_rows(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The row (n,) of the candidate (m, d) nearest to each query (n, d), Euclidean."""
    squares = (candidates**2).sum(axis=1)
    chunks = [queries[start : start + CHUNK] for start in range(0, len(queries), CHUNK)]
    return np.concatenate([(squares - 2 * chunk @ candidates.T).argmin(axis=1) for chunk in chunks])


def answers(photo_ids: Sequence[str], latitude: np.ndarray | float, longitude: np.ndarray | float) -> pd.DataFrame:
    """A `predictions` table of one answer per photo."""
    return pd.DataFrame({"photo_id": photo_ids}).assign(rank=0, latitude=latitude, longitude=longitude)
