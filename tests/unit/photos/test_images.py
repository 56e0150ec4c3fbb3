"""Photos of any format become upright RGB, or a PhotoError."""

import io

import numpy as np
import pytest
from PIL import Image
from small_images import jpeg

from homing.photos.images import PhotoError, decode_image


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "LA", "1", "I;16"])
def test_odd_modes_become_rgb(mode):
    grey = Image.linear_gradient("L").resize((40, 40))
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    suffix = {"CMYK": "JPEG"}.get(mode, "PNG")
    output = io.BytesIO()
    image.save(output, suffix)
    decoded = np.asarray(decode_image(output.getvalue()), dtype=float)
    assert decoded.shape == (40, 40, 3)
    if mode != "1":
        np.testing.assert_allclose(decoded.mean(axis=2), np.asarray(grey, dtype=float), atol=4)


def test_exif_orientation_is_applied():
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    turned = decode_image(jpeg(image, exif=exif, quality=95))
    assert turned.size == (20, 40)
    assert turned.getpixel((10, 5))[2] > 200 and turned.getpixel((10, 35))[0] > 200


def test_a_decompression_bomb_is_rejected_before_it_is_decoded():
    output = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(output, "PNG")
    with pytest.raises(PhotoError, match="too large: 20000 x 20000"):
        decode_image(output.getvalue(), max_megapixels=100)
