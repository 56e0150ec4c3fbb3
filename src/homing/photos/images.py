"""Decode any photo to upright RGB, without trusting it."""

import contextlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from homing.errors import HomingError

try:
    import pillow_heif
except ImportError:
    pillow_heif = None
else:
    pillow_heif.register_heif_opener()

Image.MAX_IMAGE_PIXELS = None  # the configured limit is checked instead, before anything is decoded
MIN_SIDE = 8


class PhotoError(HomingError):
    """An image that cannot be used; the message says why."""


def open_image(data: bytes, max_megapixels: float = 200) -> Image.Image:
    """The image of some bytes, not yet decoded. Raises PhotoError when it is no image, too small or too large."""
    if not data:
        raise PhotoError("empty file")
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise PhotoError("not an image, or of an unknown format") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise PhotoError(f"not a readable image ({str(error).splitlines()[0][:80]})") from None
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        raise PhotoError(f"too large: {width} x {height} pixels, more than {max_megapixels:g} megapixels")
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"too small: {width} x {height} pixels")
    return image


def decode_image(data: bytes, max_megapixels: float = 200) -> Image.Image:
    """Upright RGB pixels of a JPEG, PNG, WebP, HEIC ... in any mode. Raises PhotoError."""
    return to_rgb(open_image(data, max_megapixels))


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode, turn as its EXIF orientation says, and convert CMYK, grey, palette, 16 bit or alpha to RGB."""
    image = loaded(image)
    with contextlib.suppress(OSError, ValueError, SyntaxError, KeyError, TypeError):  # unreadable EXIF tells no turn
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def loaded(image: Image.Image) -> Image.Image:
    """The image with its pixels decoded. Raises PhotoError when they are broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PhotoError(f"broken image ({str(error).splitlines()[0][:80]})") from None
    return image


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit and floating-point grey, scaled by the range of its type or its values."""
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max() > 255 else 255.0
    return Image.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8)).convert("RGB")


def encode_jpeg(image: Image.Image, max_side: int, quality: int) -> bytes:
    """JPEG bytes of an RGB image, its longer side at most `max_side` pixels; for pages, not for shards."""
    if max(image.size) > max_side:
        image = ImageOps.contain(image, (max_side, max_side), Image.Resampling.BICUBIC)
    output = io.BytesIO()
    image.save(output, "JPEG", quality=quality)
    return output.getvalue()
