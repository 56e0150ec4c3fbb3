"""The Morton curve: points near each other on it are near each other on the globe, and so are their look-ups in memory
and files. Two tables in its order are joined by merging them."""

import numpy as np

from homing.labels.exact import compiled

BITS = 32  # of each coordinate, a resolution of about a centimetre


@compiled
def curve_keys(latitude, longitude):
    """Return the Morton code of each point, uint64 (n,)."""
    keys = np.empty(len(latitude), dtype=np.uint64)
    scale = 2.0**BITS
    for point in range(len(latitude)):
        x = np.uint64(min(max((longitude[point] + 180) / 360 * scale, 0.0), scale - 1))
        y = np.uint64(min(max((latitude[point] + 90) / 180 * scale, 0.0), scale - 1))
        keys[point] = _interleave_zeros(x) | (_interleave_zeros(y) << np.uint64(1))
    return keys


@compiled
def _interleave_zeros(value):
    """Interleave the 32 lowest bits with zeros."""
    value = (value | (value << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    value = (value | (value << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    value = (value | (value << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value | (value << np.uint64(2))) & np.uint64(0x3333333333333333)
    return (value | (value << np.uint64(1))) & np.uint64(0x5555555555555555)


def curve_order(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Return the stable order of points along the curve, int64 (n,)."""
    return np.argsort(curve_keys(latitude, longitude), kind="stable")


@compiled
def matches(latitude, longitude, cached_latitude, cached_longitude):
    """Return the row of the cached point with the same coordinates for each point, else -1, int64 (n,).

    Both sets of points must be in the order of the curve.
    """
    keys, cached_keys = curve_keys(latitude, longitude), curve_keys(cached_latitude, cached_longitude)
    found = np.full(len(keys), -1, dtype=np.int64)
    begin = 0
    for point in range(len(keys)):
        while begin < len(cached_keys) and cached_keys[begin] < keys[point]:
            begin += 1
        row = begin
        while row < len(cached_keys) and cached_keys[row] == keys[point]:
            if cached_latitude[row] == latitude[point] and cached_longitude[row] == longitude[point]:
                found[point] = row
                break
            row += 1
    return found
