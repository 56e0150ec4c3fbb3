"""Noise images with the spectrum of a photograph."""

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


def noise_image(rng: np.random.Generator, width: int, height: int) -> "Image.Image":
    """Noise whose amplitude falls with a power of the frequency, blurred as by a lens, with correlated colours."""
    from PIL import Image  # late, for a machine without it

    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        spectrum = np.fft.rfft2(rng.normal(size=(height, width))) * np.exp(-((frequency / 0.3) ** 2)) / frequency**1.3
        plane = np.fft.irfft2(spectrum, s=(height, width))
        planes.append(plane / plane.std())
    light, first, second = planes
    colours = np.stack([light + 0.3 * first, light, light - 0.3 * first + 0.2 * second], axis=-1)
    return Image.fromarray(np.clip(128 + 48 * colours, 0, 255).astype(np.uint8))


def jpegs(count: int, width: int, height: int, quality: int = 90) -> list[bytes]:
    """Encode `count` noise images as JPEG, the same ones in each call."""
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(count):
        output = io.BytesIO()
        noise_image(rng, width, height).save(output, "JPEG", quality=quality)
        photos.append(output.getvalue())
    return photos
