"""Small images for tests."""

import io

import numpy as np
from PIL import Image


def noise_image(side: int = 40, seed: int = 0) -> Image.Image:
    """A square of random pixels."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def smooth_image(width: int, height: int, seed: int = 0) -> Image.Image:
    """A random image without sharp edges, which survives resizing and JPEG."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **options) -> bytes:
    """Encode an image; `options` are Pillow's."""
    output = io.BytesIO()
    image.save(output, "JPEG", **options)
    return output.getvalue()
