"""Images of training photos, decoded by threads: each time, or once into a cache if they all fit into memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
import torch
from torch import Tensor

from homing.errors import HomingError
from homing.model.images import crop, square
from homing.photos.images import PhotoError, decode_image
from homing.seeds import photo_rng

SMALLEST_CROP = 0.8  # of the side
WHOLE_IMAGE = (0.0, 0.0, 1.0)  # top, left, size
CACHE_BYTES = 1_500_000_000
CHUNK = 16  # images per task of a thread


class PhotoReader(Protocol):
    """Reads encoded images by row; `homing.photos.shards.ShardReader` is one."""

    @property
    def views(self) -> int:
        """The number of stored views of a photo, in consecutive rows."""

    @property
    def index_path(self) -> str | Path:
        """The index, to be named in errors."""

    def rows(self, photo_ids: Sequence[str]) -> np.ndarray:
        """Return the row (n,) of the first view of each photo, -1 if there is none."""

    def read_row(self, row: int) -> bytes:
        """Return the bytes of an image."""


class ImageLoader:
    """Loads the images of `photo_ids` as uint8 tensors of one side.

    views: how many views of a place to load, all stored ones or 1. If 1 of several, it is drawn anew in each epoch.
    augment: crop at random in training. Raises HomingError if a photo has no image.
    """

    def __init__(
        self,
        reader: PhotoReader,
        photo_ids: Sequence[str],
        side: int,
        augment: bool,
        seed: int,
        threads: int,
        views: int = 1,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.reader, self.photo_ids, self.side, self.augment, self.seed = reader, list(photo_ids), side, augment, seed
        self.views, self.stored_views = views, reader.views
        self.rows = reader.rows(self.photo_ids)
        if (self.rows < 0).any():
            missing = self.photo_ids[int(np.argmin(self.rows))]
            raise HomingError(f"{reader.index_path}: no photo {missing!r}; import the photos again")
        self.pool = ThreadPoolExecutor(max(1, threads))
        self.stored_side = round(side / SMALLEST_CROP) if augment else side
        shape = (len(self.rows) * self.stored_views, 3, self.stored_side, self.stored_side)
        fits = np.prod(shape, dtype=np.int64) <= cache_bytes
        self.cache = torch.empty(shape, dtype=torch.uint8) if fits else None
        self.cached = np.zeros(len(self.rows) * self.stored_views, dtype=bool)

    def batch(self, items: np.ndarray, epoch: int | None) -> Tensor:
        """Return images, uint8 (n, 3, side, side), or (n, views, 3, side, side) for several views.

        They are augmented if `epoch` is given; the crop depends on seed, epoch and photo only. In pinned memory if
        there is a GPU. Raises HomingError that names a photo which cannot be decoded.
        """
        views = () if self.views == 1 else (self.views,)
        shape = (len(items), *views, 3, self.side, self.side)
        with torch.inference_mode(False):  # the threads write to it outside the caller's inference mode
            images = torch.empty(shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        parts = [slice(start, start + CHUNK) for start in range(0, len(items), CHUNK)]
        for _ in self.pool.map(lambda part: self._fill(images[part], items[part], epoch), parts):
            pass  # wait, and raise the exceptions of the threads
        return images

    def _fill(self, images: Tensor, items: np.ndarray, epoch: int | None) -> None:
        for target, item in zip(images, items.tolist(), strict=True):
            if self.views == 1:
                target.copy_(self._image(item, self._drawn_view(item, epoch), epoch))
                continue
            for view in range(self.views):
                target[view].copy_(self._image(item, view, epoch))

    def _drawn_view(self, item: int, epoch: int | None) -> int:
        if epoch is None or self.stored_views == 1:
            return 0
        return int(photo_rng(self.seed, epoch, f"{self.photo_ids[item]} view").integers(self.stored_views))

    def _image(self, item: int, view: int, epoch: int | None) -> Tensor:
        window = WHOLE_IMAGE
        if self.augment and epoch is not None:
            top, left, size = photo_rng(self.seed, epoch, self.photo_ids[item]).random(3)
            window = (top, left, SMALLEST_CROP + (1 - SMALLEST_CROP) * size)
        return crop(self._stored(item, view), window, self.side)

    def _stored(self, item: int, view: int) -> Tensor:
        """Return the centre square, uint8 (3, s, s), from the cache or freshly decoded."""
        if self.cache is None:
            return self._decode(item, view)
        place = item * self.stored_views + view
        if not self.cached[place]:
            self.cache[place] = crop(self._decode(item, view), WHOLE_IMAGE, self.stored_side)
            self.cached[place] = True
        return self.cache[place]

    def _decode(self, item: int, view: int) -> Tensor:
        try:
            return decode_square(self.reader.read_row(int(self.rows[item]) + view), self.stored_side)
        except PhotoError as error:
            raise HomingError(f"photo {self.photo_ids[item]!r}: {error}; import the photos again") from None


def decode_square(data: bytes, side: int) -> Tensor:
    """Decode the centre square of a photo, uint8 (3, s, s), at a half or less of its size if s is still >= `side`.

    Shards hold upright RGB or grey JPEGs. If the fast decoder refuses a photo, Pillow decides. Raises PhotoError.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        scale = side / min(height, width)
        least = {"min_width": round(width * scale), "min_height": round(height * scale), "min_factor": 2}
        fits = scale <= 0.5
        return square(simplejpeg.decode_jpeg(data, "RGB", fastupsample=fits, **(least if fits else {})))
    except ValueError:
        return square(np.asarray(decode_image(data)))


def sample_patches(patches: int, share: float, seed: int, epoch: int, photo_ids: Sequence[str]) -> Tensor | None:
    """Return the sorted indices (n, k) of the patches to keep when a `share` is dropped; None if the share is 0.

    They depend on seed, epoch and photo only, so that they are the same for any number of processes. Li et al.,
    "Scaling Language-Image Pre-training via Masking" (FLIP), CVPR 2023.
    """
    if not share:
        return None
    count = max(1, round((1 - share) * patches))
    chosen = [photo_rng(seed, epoch, f"{photo_id} patches").permutation(patches)[:count] for photo_id in photo_ids]
    return torch.from_numpy(np.sort(np.stack(chosen), axis=1))
