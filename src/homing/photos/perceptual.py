"""Perceptual hashes: those of near-duplicate images differ in few of 64 bits, those of others in about half.

A bit says if one of the 8 x 8 lowest frequencies of the image, shrunk to 32 x 32 grey pixels, is above their median
(Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1), without frequency 0.
"""

from itertools import pairwise

import numpy as np
from PIL import Image

SIDE, LOW = 32, 8


def _cosines() -> np.ndarray:
    """Return rows 1 to 8 of the discrete cosine transform (type II) of 32 values, (8, 32)."""
    frequency, position = np.arange(1, LOW + 1)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * position + 1) / (2 * SIDE))


_COSINES = _cosines()


def perceptual_hash(image: np.ndarray) -> int:
    """Return the 64 bits of an image, uint8 (height, width, 3), as a signed integer.

    They are taken from the green channel, which is most of the brightness.
    """
    step = max(1, min(image.shape[:2]) // (4 * SIDE))
    green = Image.fromarray(np.ascontiguousarray(image[::step, ::step, 1]))
    grey = green.resize((SIDE, SIDE), Image.Resampling.BOX)
    coefficients = _COSINES @ np.asarray(grey, dtype=np.float64) @ _COSINES.T
    bits = (coefficients > np.median(coefficients)).ravel()
    return int(np.packbits(bits).view(">i8")[0])


def near_pairs(hashes: np.ndarray, queries: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs that differ in at most `bits` bits, as indices into `hashes` and `queries`, int64 (p,) each.

    hashes: int64 (n,). queries: int64 (m,). The 64 bits are divided into bits + 1 bands: hashes that differ in at most
    `bits` bits are equal in at least one band (Norouzi et al. 2012), so only hashes with an equal band are compared.
    """
    hash_n, query_m = (values.astype(np.int64).view(np.uint64) for values in (hashes, queries))
    edges = np.linspace(0, 64, bits + 2).astype(int)
    bands = [_pairs_in_band(hash_n, query_m, low, high, bits) for low, high in pairwise(edges)]
    pairs = np.unique(np.concatenate(bands), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _pairs_in_band(hash_n: np.ndarray, query_m: np.ndarray, low: int, high: int, bits: int) -> np.ndarray:
    """Return the pairs that are equal in the bits low..high-1 and differ in at most `bits` in all, int64 (p, 2)."""
    mask = np.uint64((1 << (high - low)) - 1)
    band_n, band_m = ((values >> np.uint64(low)) & mask for values in (hash_n, query_m))
    order = np.argsort(band_n, kind="stable")
    first_m, last_m = (np.searchsorted(band_n[order], band_m, side) for side in ("left", "right"))
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for query in np.flatnonzero(last_m > first_m):
        equal = order[first_m[query] : last_m[query]]
        near = equal[np.bitwise_count(hash_n[equal] ^ query_m[query]) <= bits]
        pairs.append(np.stack([near, np.full(len(near), query)], axis=1))
    return np.concatenate(pairs)
