"""Prepare images for storage: upright, of bounded size, without metadata; not encoded again if nothing else changes.

JPEGs are decoded by libjpeg-turbo, at reduced size where that is large enough, and resized by torch's antialiased
bicubic on bytes, the fastest pair we measured; all else goes through Pillow (`photos.images`), with the same errors.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from PIL import ExifTags, Image

from homing.importing.jpeg import without_metadata
from homing.photos.images import PhotoError, load_pixels, open_image, to_rgb
from homing.photos.perceptual import perceptual_hash

ORIENTATIONS = {  # EXIF orientation -> counterclockwise quarter turns, then whether to mirror left to right
    1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False),
}  # fmt: skip


class StoredImage(NamedTuple):
    """The bytes of a JPEG, and its perceptual hash."""

    data: bytes
    perceptual_hash: int


def prepare(data: bytes, settings: Mapping[str, Any], crop_bottom: int = 0) -> StoredImage:
    """Return the image to store for the bytes of any photo. Raises PhotoError if it cannot be used.

    settings: the configuration's `shards`. crop_bottom: rows of pixels to cut off at the bottom (burned-in text).
    """
    image = open_image(data, settings["max_megapixels"])
    if crop_bottom and image.height - crop_bottom < image.height / 2:
        raise PhotoError(f"too small: {image.height} rows of pixels, {crop_bottom} of which are to be cut off")
    fits = max(image.size) <= settings["max_side"]
    if fits and not crop_bottom and _is_plain_jpeg(image) and _orientation(image) == 1:
        return StoredImage(without_metadata(data), perceptual_hash(_decode(data, image, None)))
    pixels = recode(data, image, settings["max_side"], crop_bottom)
    return StoredImage(encode(pixels, settings["quality"]), perceptual_hash(pixels))


def recode(data: bytes, image: Image.Image, side: int, crop_bottom: int = 0) -> np.ndarray:
    """Return upright RGB, uint8 (height, width, 3), its longer side at most `side`, of an image from `open_image`."""
    if not _is_plain_jpeg(image):
        pixels = np.asarray(to_rgb(image))
    elif crop_bottom:
        pixels = _apply_orientation(_decode(data, image, None), _orientation(image))
    else:
        target = fit_within(*image.size, side)
        return _apply_orientation(resize(_decode(data, image, target), target), _orientation(image))
    pixels = pixels[: len(pixels) - crop_bottom]
    return resize(pixels, fit_within(pixels.shape[1], pixels.shape[0], side))


def _is_plain_jpeg(image: Image.Image) -> bool:
    """True if libjpeg-turbo converts it to RGB as Pillow does."""
    return image.format == "JPEG" and image.mode in ("RGB", "L")


def fit_within(width: int, height: int, side: int) -> tuple[int, int]:
    """Return width and height scaled so that the longer one is at most `side`."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return 1  # unreadable, and removed with the rest of the EXIF
    return found if found in ORIENTATIONS else 1


def _decode(data: bytes, image: Image.Image, target: tuple[int, int] | None) -> np.ndarray:
    """Return RGB, uint8 (height, width, 3), not yet upright.

    target: (width, height) that it will be resized to; the decoder may then reduce it to half or less, not below that.
    """
    options: dict[str, int | bool] = {"fastupsample": False}
    if target is not None and target != image.size:  # the resize that follows smooths the colours
        options = {"fastupsample": True, "min_width": target[0], "min_height": target[1], "min_factor": 2}
    try:
        return simplejpeg.decode_jpeg(data, "RGB", **options)
    except ValueError:  # the decoder is strict; Pillow decides whether the image is broken
        return np.asarray(load_pixels(image).convert("RGB"))


def resize(pixels: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Resize uint8 (height, width, 3) to `target` (width, height), antialiased bicubic."""
    if pixels.shape[1::-1] == target:
        return pixels
    with torch.inference_mode():
        # Channels last in memory: twice as fast as channels first.
        image = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            image, size=(target[1], target[0]), mode="bicubic", antialias=True, align_corners=False
        )
        return resized.permute(0, 2, 3, 1)[0].contiguous().numpy()


def _apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror pixels as their EXIF orientation says."""
    turns, mirrored = ORIENTATIONS[orientation]
    pixels = np.rot90(pixels, turns)
    return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def encode(pixels: np.ndarray, quality: int) -> bytes:
    """Encode uint8 (height, width, 3) as JPEG."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420")
