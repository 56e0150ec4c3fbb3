"""Images for training, by photo: decoded once into memory when they fit, else ahead of the step by threads."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from homing.captions.sampling import photo_rng
from homing.errors import HomingError
from homing.model.images import pixels, random_crops, resize
from homing.photos.images import PhotoError, decode_image
from homing.photos.shards import ShardReader

log = logging.getLogger(__name__)

SMALLEST_CROP = 0.8  # of the side
CACHE_BYTES = 1_500_000_000


class Images:
    """The images of `photo_ids` as uint8 tensors of one side; larger by the smallest crop when they are augmented."""

    def __init__(
        self, reader: ShardReader, photo_ids: Sequence[str], side: int, augment: bool, seed: int, threads: int
    ) -> None:
        self.reader, self.photo_ids, self.side, self.augment, self.seed = reader, list(photo_ids), side, augment, seed
        self.stored_side = round(side / SMALLEST_CROP) if augment else side
        self.pool = ThreadPoolExecutor(max(1, threads))
        self.cache: Tensor | None = None
        size = 3 * self.stored_side**2
        if len(self.photo_ids) * size <= CACHE_BYTES:
            self.cache = torch.empty((len(self.photo_ids), 3, self.stored_side, self.stored_side), dtype=torch.uint8)
            self.cached = np.zeros(len(self.photo_ids), dtype=bool)

    def decode(self, item: int) -> Tensor:
        """One image, uint8 (3, s, s). Raises HomingError naming the photo."""
        photo_id = self.photo_ids[item]
        try:
            return pixels(decode_image(self.reader.read(photo_id)), self.stored_side)
        except PhotoError as error:
            raise HomingError(f"photo {photo_id!r}: {error}; import the photos again") from None

    def stored(self, items: np.ndarray) -> Tensor:
        """Images uint8 (n, 3, s, s) as they are kept, before augmentation."""
        if self.cache is None:
            return torch.stack(list(self.pool.map(self.decode, items.tolist())))
        new = np.unique(items[~self.cached[items]])
        for item, image in zip(new.tolist(), self.pool.map(self.decode, new.tolist()), strict=True):
            self.cache[item] = image
        self.cached[new] = True
        return self.cache[torch.from_numpy(items)]

    def batch(self, items: np.ndarray, epoch: int | None) -> Tensor:
        """uint8 (n, 3, side, side); augmented when `epoch` is given, by a draw of seed, epoch and photo alone."""
        images = self.stored(items)
        if not self.augment:
            return images
        if epoch is None:
            return resize(images, self.side)
        corners = []
        for item in items:
            top, left, size = photo_rng(self.seed, epoch, self.photo_ids[item]).random(3)
            corners.append((top, left, SMALLEST_CROP + (1 - SMALLEST_CROP) * size))
        return random_crops(images, corners, self.side)
