"""Decode photos of any format to upright RGB, without trusting them."""

import base64
import contextlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from homing.errors import HomingError

with contextlib.suppress(ImportError):  # an extra: without it HEIC is an unknown format
    import pillow_heif

    pillow_heif.register_heif_opener()

Image.MAX_IMAGE_PIXELS = None  # open_image checks the configured limit instead, before anything is decoded
MIN_SIDE = 8


class PhotoError(HomingError):
    """An image that cannot be used; the message says why."""


def open_image(data: bytes, max_megapixels: float = 200) -> Image.Image:
    """Open an image without decoding it. Raises PhotoError if it is not an image, too small or too large."""
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
    """Decode a JPEG, PNG, WebP, HEIC, ... in any mode to upright RGB. Raises PhotoError."""
    return to_rgb(open_image(data, max_megapixels))


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode, apply the EXIF orientation, and convert CMYK, grey, palette, 16 bit or alpha (on white) to RGB."""
    image = load_pixels(image)
    with contextlib.suppress(OSError, ValueError, SyntaxError, KeyError, TypeError):  # unreadable EXIF
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_high_bit_depth(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def load_pixels(image: Image.Image) -> Image.Image:
    """Decode the pixels of an image and return it. Raises PhotoError if they are broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PhotoError(f"broken image ({str(error).splitlines()[0][:80]})") from None
    return image


def _from_high_bit_depth(image: Image.Image) -> Image.Image:
    """Convert 16-bit, 32-bit or float grey to RGB; values above 255 are taken for 16 bits."""
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max() > 255 else 255.0
    return Image.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8)).convert("RGB")


def encode_jpeg(image: Image.Image, max_side: int, quality: int) -> bytes:
    """Encode an RGB image as JPEG, its longer side at most `max_side` pixels; for pages, not for shards."""
    if max(image.size) > max_side:
        image = ImageOps.contain(image, (max_side, max_side), Image.Resampling.BICUBIC)
    output = io.BytesIO()
    image.save(output, "JPEG", quality=quality)
    return output.getvalue()


def data_uri(image: Image.Image, side: int) -> str:
    """Encode a JPEG of at most `side` pixels as a data URI, without metadata."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image, side, 82)).decode("ascii")
