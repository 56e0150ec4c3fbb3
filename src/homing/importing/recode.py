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

from homing.importing.jpeg import without_metadata
from homing.photos.images import PhotoError, loaded, open_image, to_rgb
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
    fits = max(image.size) <= settings["max_side"]
    if fits and not crop_bottom and _is_plain(image) and _orientation(image) == 1:
        return Stored(without_metadata(data), perceptual_hash(_decode(data, image, None)))
    pixels = recode(data, image, settings["max_side"], crop_bottom)
    return Stored(encode(pixels, settings["quality"]), perceptual_hash(pixels))


def recode(data: bytes, image: Image.Image, side: int, crop_bottom: int = 0) -> np.ndarray:
    """Upright RGB uint8 (height, width, 3), its longer side at most `side`, of an image that `open_image` opened."""
    if not _is_plain(image):
        pixels = np.asarray(to_rgb(image))
    elif crop_bottom:
        pixels = _upright(_decode(data, image, None), _orientation(image))
    else:
        target = fitting(*image.size, side)
        return _upright(resize(_decode(data, image, target), target), _orientation(image))
    pixels = pixels[: len(pixels) - crop_bottom]
    return resize(pixels, fitting(pixels.shape[1], pixels.shape[0], side))


def _is_plain(image: Image.Image) -> bool:
    """Whether libjpeg-turbo's own way to RGB is right for it."""
    return image.format == "JPEG" and image.mode in ("RGB", "L")


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
    smaller = target is not None and target != image.size  # colours are smoothed by the resize that follows
    least = {"min_width": target[0], "min_height": target[1], "min_factor": 2} if smaller else {}
    try:
        return simplejpeg.decode_jpeg(data, "RGB", fastupsample=smaller, **least)
    except ValueError:
        return np.asarray(loaded(image).convert("RGB"))


def resize(pixels: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3) of the size `target` (width, height), antialiased bicubic."""
    if pixels.shape[1::-1] == target:
        return pixels
    with torch.inference_mode():
        # Colours stay innermost in memory, also for torch: twice as fast as planes.
        planes = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            planes, size=(target[1], target[0]), mode="bicubic", antialias=True, align_corners=False
        )
        return resized.permute(0, 2, 3, 1)[0].contiguous().numpy()


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turns, mirrored = UPRIGHT[orientation]
    pixels = np.rot90(pixels, turns)
    return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def encode(pixels: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of uint8 (height, width, 3)."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420")
