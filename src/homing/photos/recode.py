"""An image as it is stored: upright, no larger than wanted, without metadata, and its own bytes where nothing changes.

JPEGs go through libjpeg-turbo, decoded at half size where that is large enough, and torch's antialiased bicubic resize
on bytes, the fastest pair there is; everything else goes through Pillow (`images`), with the same verdicts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from PIL import ExifTags, Image

from homing.photos.images import PhotoError, loaded, open_image, to_rgb
from homing.photos.jpeg import without_metadata
from homing.photos.perceptual import perceptual_hash

UPRIGHT = {  # EXIF orientation -> quarter turns to the left, then mirrored left to right
    1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False),
}  # fmt: skip


class Stored(NamedTuple):
    """The bytes of a JPEG, and its perceptual hash."""

    data: bytes
    perceptual_hash: int


def prepare(data: bytes, settings: Mapping[str, Any], crop_bottom: int = 0) -> Stored:
    """The image to store of any photo's bytes. Raises PhotoError with the reason why it cannot be used.

    `settings` are the configuration's `shards`; `crop_bottom` rows of pixels are cut off below (burned-in text).
    """
    image = open_image(data, settings["max_megapixels"])
    if crop_bottom and image.height - crop_bottom < image.height / 2:
        raise PhotoError(f"too small: {image.height} rows of pixels, {crop_bottom} of which are to be cut off")
    side, orientation = settings["max_side"], _orientation(image)
    fast = image.format == "JPEG" and image.mode in ("RGB", "L")
    target = fitting(image.width, image.height - crop_bottom, side)
    keep = fast and orientation == 1 and not crop_bottom and target == image.size
    pixels = _decode(data, image, None if keep or crop_bottom else target) if fast else np.asarray(to_rgb(image))
    if not fast:
        orientation, target = 1, fitting(pixels.shape[1], pixels.shape[0] - crop_bottom, side)
    if crop_bottom:
        pixels = pixels[:-crop_bottom] if orientation == 1 else _upright(pixels, orientation)[:-crop_bottom]
        orientation, target = 1, fitting(pixels.shape[1], pixels.shape[0], side)
    pixels = _upright(resize(pixels, target), orientation)
    stored = without_metadata(data) if keep else encode(pixels, settings["quality"])
    return Stored(stored, perceptual_hash(pixels))


def fitting(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with the longer one at most `side`, in proportion."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return 1  # unreadable EXIF is thrown away with the rest of it
    return found if found in UPRIGHT else 1


def _decode(data: bytes, image: Image.Image, target: tuple[int, int] | None) -> np.ndarray:
    """RGB uint8 (height, width, 3); at half or less of the size when `target` (width, height) is still within.

    What the strict decoder refuses, Pillow judges.
    """
    least = {} if target is None else {"min_width": target[0], "min_height": target[1], "min_factor": 2}
    try:
        return simplejpeg.decode_jpeg(data, "RGB", **least)
    except ValueError:
        return np.asarray(loaded(image).convert("RGB"))


def resize(pixels: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3) of the size `target` (width, height), antialiased bicubic."""
    if pixels.shape[1::-1] == target:
        return pixels
    with torch.inference_mode():
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # a view: channels last in memory, which is fast
        resized = torch.nn.functional.interpolate(
            planes, size=(target[1], target[0]), mode="bicubic", antialias=True, align_corners=False
        )
        return resized[0].permute(1, 2, 0).contiguous().numpy()


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turns, mirrored = UPRIGHT[orientation]
    pixels = np.rot90(pixels, turns)
    return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def encode(pixels: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of uint8 (height, width, 3)."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420")
