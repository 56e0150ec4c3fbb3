"""Perceptual hashes: near-duplicate pictures differ in few of 64 bits, others in about half.

The signs of the 8 x 8 lowest frequencies of a 32 x 32 grey picture against their median (Zauner 2010, "Implementation
and Benchmarking of Perceptual Image Hash Functions", section 3.2.1), without the mean's own coefficient.
"""

from itertools import pairwise

import numpy as np
from PIL import Image

SIDE, LOW = 32, 8


def _cosines() -> np.ndarray:
    """Rows 1 to 8 of the discrete cosine transform (type II) of 32 values."""
    frequency, place = np.arange(1, LOW + 1)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))


_COSINES = _cosines()


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits, as a signed integer, of an image uint8 (height, width, 3): of its green, most of what is seen."""
    step = max(1, min(image.shape[:2]) // (4 * SIDE))
    green = Image.fromarray(np.ascontiguousarray(image[::step, ::step, 1]))
    grey = green.resize((SIDE, SIDE), Image.Resampling.BOX)
    waves = _COSINES @ np.asarray(grey, dtype=np.float64) @ _COSINES.T
    bits = (waves > np.median(waves)).ravel()
    return int(np.packbits(bits).view(">i8")[0])


def near_pairs(hashes: np.ndarray, queries: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (index into `hashes`, index into `queries`) that differ in at most `bits` bits; int64 (n,), (m,).

    The 64 bits are cut into bits + 1 bands: two that differ in at most `bits` agree in one band at least (Norouzi et
    al. 2012), so that only hashes with an equal band are compared.
    """
    ours, theirs = hashes.astype(np.int64).view(np.uint64), queries.astype(np.int64).view(np.uint64)
    edges = np.linspace(0, 64, bits + 2).astype(int)
    found = [_equal_band(ours, theirs, low, high, bits) for low, high in pairwise(edges)]
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _equal_band(ours: np.ndarray, theirs: np.ndarray, low: int, high: int, bits: int) -> np.ndarray:
    mask = np.uint64((1 << (high - low)) - 1)
    band, wanted = (ours >> np.uint64(low)) & mask, (theirs >> np.uint64(low)) & mask
    order = np.argsort(band, kind="stable")
    first, last = np.searchsorted(band[order], wanted, "left"), np.searchsorted(band[order], wanted, "right")
    pieces = [np.zeros((0, 2), dtype=np.int64)]
    for query in np.flatnonzero(last > first):
        items = order[first[query] : last[query]]
        close = np.bitwise_count(ours[items] ^ theirs[query]) <= bits
        pieces.append(np.stack([items[close], np.full(close.sum(), query)], axis=1))
    return np.concatenate(pieces)
