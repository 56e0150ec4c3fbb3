"""From a decoded photo to the pixels an encoder takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from homing.files import read_json, write_json

if TYPE_CHECKING:
    from PIL import Image

BICUBIC = 3  # as Pillow numbers its filters

# Mean and standard deviation of CLIP's training images (Radford et al. 2021).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# The same of ImageNet, which DINO models are trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image: the side in pixels, and the mean and standard deviation of its channels."""

    side: int
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD

    def save(self, folder: str | Path) -> None:
        """Write `preprocessor_config.json`, as transformers' CLIP image processor reads it."""
        size = {"height": self.side, "width": self.side}
        content = {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "size": {"shortest_edge": self.side},
            "resample": BICUBIC,
            "do_center_crop": True,
            "crop_size": size,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }
        write_json(Path(folder) / "preprocessor_config.json", content)

    @classmethod
    def load(cls, folder: str | Path) -> "Preprocessing":
        """Read `preprocessor_config.json` of a folder."""
        content = read_json(Path(folder) / "preprocessor_config.json")
        return cls.parse(content, cls(side=0))

    @classmethod
    def parse(cls, content: Mapping[str, Any], usual: "Preprocessing") -> "Preprocessing":
        """What an image processor of transformers says, in any of its spellings; the rest as `usual`.

        Every encoder is given the centre square, bicubic and antialiased, also those that were trained on squeezed
        pictures or bilinear ones: fine detail is what places a photo.
        """
        crop = content.get("crop_size") or content.get("size") or usual.side
        side = crop if isinstance(crop, int) else crop.get("height") or crop.get("shortest_edge") or usual.side
        mean, std = content.get("image_mean") or usual.mean, content.get("image_std") or usual.std
        return cls(side, tuple(mean), tuple(std))


def pixels(image: "Image.Image", side: int) -> Tensor:
    """The centre square of an RGB image, uint8 (3, side, side): bicubic, antialiased resize and centre crop."""
    return resize(square(np.asarray(image, dtype=np.uint8))[None], side)[0]


def square(array: np.ndarray) -> Tensor:
    """The centre square of uint8 (height, width, 3), as (3, s, s) in channels-last memory."""
    height, width = array.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    crop = array[top : top + size, left : left + size].copy()  # a view of an image is read-only
    return torch.from_numpy(crop).permute(2, 0, 1)


def resize(batch: Tensor, side: int) -> Tensor:
    """uint8 (n, 3, h, w) to (n, 3, side, side), bicubic and antialiased; the fast path is channels-last memory."""
    if batch.shape[-2:] == (side, side):
        return batch
    batch = batch.contiguous(memory_format=torch.channels_last)
    return functional.interpolate(batch, size=(side, side), mode="bicubic", antialias=True)


def crop(image: Tensor, corner: tuple[float, float, float], side: int) -> Tensor:
    """A part of a square image (3, s, s), resized to (3, side, side).

    corner: top and left as shares of what is left free, and the part's size relative to the square's.
    """
    top, left, share = corner
    full = image.shape[-1]
    extent = max(1, round(share * full))
    y, x = round(top * (full - extent)), round(left * (full - extent))
    return resize(image[None, :, y : y + extent, x : x + extent], side)[0]


def normalise(batch: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 (n, 3, s, s) to float32 with the mean and standard deviation of the encoder's training."""
    # Not blocking: a copy that blocks would wait for all that the GPU has still to do.
    values = torch.tensor([preprocessing.mean, preprocessing.std]).to(batch.device, non_blocking=True)
    mean, std = values[..., None, None] * 255
    return (batch.float() - mean) / std
