"""Baselines that need no model: the best constant guess, and the training photo with the most similar thumbnail."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from PIL import Image

from homing.sphere import haversine_km

THUMBNAIL = 16  # pixels
MAX_TRIED = 2000  # places tried as the constant
MAX_MEASURED = 20000  # training photos that each is measured on
BLOCK = 512  # queries compared at a time


Decode = Callable[[bytes], Image.Image]


class Images(Protocol):
    """Encoded images by photo_id, such as a ShardReader."""

    def __contains__(self, photo_id: str) -> bool: ...

    def read(self, photo_id: str) -> bytes: ...


def constant_guess(latitude: np.ndarray, longitude: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the place of the training photo (degrees) with the smallest median distance to all training photos.

    Of more photos, a random sample of `MAX_TRIED` places is tried, on a sample of `MAX_MEASURED` photos.
    """
    rng = np.random.default_rng(seed)
    tried, measured = (rng.permutation(len(latitude))[:count] for count in (MAX_TRIED, MAX_MEASURED))
    medians = [
        np.median(haversine_km(latitude[one], longitude[one], latitude[measured], longitude[measured])) for one in tried
    ]
    best = tried[int(np.argmin(medians))]
    return float(latitude[best]), float(longitude[best])


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return an RGB image as a vector of 16 x 16 pixels, float32 (768,) in 0..1."""
    small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / 255


def thumbnails(photo_ids: Sequence[str], images: Images, decode: Decode) -> np.ndarray:
    """Return the thumbnails (n, 768) of photos."""
    if not len(photo_ids):
        return np.empty((0, 3 * THUMBNAIL**2), dtype=np.float32)
    return np.stack([thumbnail(decode(images.read(photo_id))) for photo_id in photo_ids])


def nearest_rows(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the row (n,) of the nearest candidate (m, d) to each query (n, d), by Euclidean distance."""
    squares = (candidates**2).sum(axis=1)
    blocks = [queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK)]
    return np.concatenate([(squares - 2 * block @ candidates.T).argmin(axis=1) for block in blocks])


def guess_by_thumbnail(
    photo_ids: Sequence[str], images: Images, training: pd.DataFrame, training_images: Images, decode: Decode
) -> pd.DataFrame:
    """Return a `predictions` table: each photo at the place of the training photo with the most similar thumbnail.

    training: photo_id, latitude, longitude; decode: returns an RGB image. Photos without an image are left out.
    """
    training = training[[photo_id in training_images for photo_id in training["photo_id"]]]
    photo_ids = [photo_id for photo_id in photo_ids if photo_id in images]
    known = thumbnails(training["photo_id"].tolist(), training_images, decode)
    rows = nearest_rows(thumbnails(photo_ids, images, decode), known)
    return predictions_of(photo_ids, training["latitude"].to_numpy()[rows], training["longitude"].to_numpy()[rows])


def predictions_of(
    photo_ids: Sequence[str], latitude: np.ndarray | float, longitude: np.ndarray | float
) -> pd.DataFrame:
    """Return a `predictions` table with one answer per photo."""
    return pd.DataFrame({"photo_id": photo_ids}).assign(rank=0, latitude=latitude, longitude=longitude)
