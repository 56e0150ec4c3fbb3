"""Re-encoded photos look as Pillow would make them, and no metadata is left."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from small_images import jpeg, noise_image, smooth_image

from homing.importing.jpeg import without_metadata
from homing.importing.recode import prepare
from homing.photos.images import PhotoError, decode_image

SETTINGS = {"max_side": 64, "max_megapixels": 200, "quality": 90}


def recoded(data: bytes, side: int, crop: int = 0) -> np.ndarray:
    stored = prepare(data, SETTINGS | {"max_side": side, "quality": 100}, crop).data
    return np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"), dtype=float)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_fast_re_encoding_matches_pillow(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(smooth_image(400, 240, orientation), exif=exif, quality=95, subsampling=0)
    expected = ImageOps.contain(decode_image(data), (150, 150), Image.Resampling.BICUBIC)
    error = np.mean((recoded(data, 150) - np.asarray(expected, dtype=float)) ** 2)
    assert 10 * np.log10(255**2 / error) > 38


def test_the_bottom_is_cropped_after_the_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 8
    image = smooth_image(60, 48)
    for options in ({}, {"exif": exif}):
        upright = np.asarray(decode_image(jpeg(image, **options)), dtype=float)
        found = recoded(jpeg(image, **options), 100, crop=14)
        assert found.shape == (upright.shape[0] - 14, upright.shape[1], 3)
        assert np.abs(found - upright[:-14]).mean(axis=2).mean() < 10 < np.abs(found - upright[14:]).mean()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"icc": True}, {"mode": "L"}, {"restarts": True}])
def test_metadata_is_removed_and_every_pixel_kept(options):
    image = smooth_image(50, 40).convert(options.get("mode", "RGB"))
    exif = Image.Exif()
    exif[0x010E], exif[0x8825] = "secret place", {1: "N", 2: (48.0, 0.0, 0.0)}
    more = {"progressive": True} if "progressive" in options else {}
    more |= {"restart_marker_blocks": 1} if "restarts" in options else {}
    more |= (
        {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()} if "icc" in options else {}
    )
    data = jpeg(image, exif=exif, comment=b"secret comment", xmp=b"<x>secret</x>", **more)
    for tail in (b"", b"\0junk", jpeg(smooth_image(30, 30))):  # what phones put behind a picture
        clean = without_metadata(data + tail)
        assert b"secret" not in clean and len(clean) < len(data)
        kept = Image.open(io.BytesIO(clean))
        assert not kept.getexif() and np.array_equal(np.asarray(kept), np.asarray(Image.open(io.BytesIO(data))))
        assert ("icc_profile" in kept.info) == ("icc" in options)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_truncated_jpegs_are_rejected(cut):
    data = jpeg(noise_image(60))
    with pytest.raises(PhotoError, match="broken image|not a readable image"):
        prepare(data[: int(len(data) * cut)], SETTINGS)
