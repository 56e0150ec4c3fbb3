"""Perceptual hashes find near-duplicates, and the search for them finds every pair."""

import numpy as np
from small_images import jpeg, smooth_image

from homing.photos.images import decode_image
from homing.photos.perceptual import near_pairs, perceptual_hash


def test_perceptual_hashes_find_copies_and_only_them():
    rng = np.random.default_rng(5)
    originals = [smooth_image(320, 240, seed) for seed in range(60)]
    hashes = np.array([perceptual_hash(np.asarray(image)) for image in originals])
    copies = [
        jpeg(image.resize((int(200 + 60 * rng.random()),) * 2), quality=int(rng.integers(50, 95)))
        for image in originals
    ]
    again = np.array([perceptual_hash(np.asarray(decode_image(data))) for data in copies])
    first, second = near_pairs(hashes, again, bits=4)
    assert (first == second).all() and len(first) > 55


def test_near_pairs_equal_brute_force():
    rng = np.random.default_rng(6)
    ours, theirs = (rng.integers(-(2**63), 2**63 - 1, size, dtype=np.int64) for size in (300, 200))
    for number in range(150):  # plant pairs that differ in 0 to 9 bits
        flips = rng.choice(64, number % 10, replace=False)
        theirs[number] = ours[number] ^ np.bitwise_xor.reduce(
            (np.uint64(1) << flips.astype(np.uint64)).view(np.int64), initial=0
        )
    distance = np.bitwise_count((ours[:, None] ^ theirs[None, :]).view(np.uint64))
    for bits in (0, 4, 7):
        expected = set(zip(*np.nonzero(distance <= bits), strict=True))
        assert set(zip(*near_pairs(ours, theirs, bits), strict=True)) == expected
