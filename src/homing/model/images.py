"""From a decoded photo to the pixels a vision tower wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from homing.files import read_json, write_json

# Mean and standard deviation of CLIP's training images (Radford et al. 2021).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


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
            "resample": int(Image.Resampling.BICUBIC),
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
        crop = content.get("crop_size", content["size"])
        side = crop if isinstance(crop, int) else crop["height"]
        return cls(side, tuple(content["image_mean"]), tuple(content["image_std"]))


def pixels(image: Image.Image, side: int) -> Tensor:
    """The centre square of an RGB image, uint8 (3, side, side): CLIP's bicubic, antialiased resize and centre crop."""
    array = np.asarray(image, dtype=np.uint8)
    height, width = array.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    crop = array[top : top + square, left : left + square].copy()  # a view of the image is read-only
    return resize(torch.from_numpy(crop).permute(2, 0, 1)[None], side)[0]


def resize(batch: Tensor, side: int) -> Tensor:
    """uint8 (n, 3, h, w) to (n, 3, side, side), bicubic and antialiased; the fast path is channels-last memory."""
    if batch.shape[-2:] == (side, side):
        return batch
    batch = batch.contiguous(memory_format=torch.channels_last)
    return functional.interpolate(batch, size=(side, side), mode="bicubic", antialias=True)


def random_crops(batch: Tensor, corners: Sequence[tuple[float, float, float]], side: int) -> Tensor:
    """One crop per image, resized to `side`: top and left as shares of what is left free, size relative to the side."""
    full = batch.shape[-1]
    crops = []
    for image, (top, left, size) in zip(batch, corners, strict=True):
        extent = max(1, round(size * full))
        y, x = round(top * (full - extent)), round(left * (full - extent))
        crops.append(resize(image[None, :, y : y + extent, x : x + extent], side)[0])
    return torch.stack(crops)


def normalise(batch: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 (n, 3, s, s) to float32 with the mean and standard deviation of the encoder's training."""
    mean = torch.tensor(preprocessing.mean, device=batch.device)[:, None, None] * 255
    std = torch.tensor(preprocessing.std, device=batch.device)[:, None, None] * 255
    return (batch.float() - mean) / std
