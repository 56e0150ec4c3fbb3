"""Pictures with a photograph's spectrum, as JPEGs."""

import io

import numpy as np


def jpegs(count: int, width: int, height: int, quality: int = 90) -> list[bytes]:
    """Noise whose amplitude falls with a power of the frequency, through a lens; colours related as in nature."""
    from PIL import Image

    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    photos = []
    for _ in range(count):
        waves = [np.fft.rfft2(rng.normal(size=(height, width))) for _ in range(3)]
        planes = [
            np.fft.irfft2(w * np.exp(-((frequency / 0.3) ** 2)) / frequency**1.3, s=(height, width)) for w in waves
        ]
        light, first, second = (plane / plane.std() for plane in planes)
        colours = np.stack([light + 0.3 * first, light, light - 0.3 * first + 0.2 * second], axis=-1)
        output = io.BytesIO()
        Image.fromarray(np.clip(128 + 48 * colours, 0, 255).astype(np.uint8)).save(output, "JPEG", quality=quality)
        photos.append(output.getvalue())
    return photos
