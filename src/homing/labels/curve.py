"""A space-filling curve: neighbours on it are neighbours on the globe, mostly, so that look-ups in its order are near
in memory and in files too. And the join of two tables in its order."""

import numpy as np

from homing.labels.exact import compiled

BITS = 32  # of each coordinate: a step of a centimetre


@compiled
def curve_keys(latitude, longitude):
    """Place of each point on the Morton curve, uint64 (n,)."""
    keys = np.empty(len(latitude), dtype=np.uint64)
    scale = 2.0**BITS
    for point in range(len(latitude)):
        x = np.uint64(min(max((longitude[point] + 180) / 360 * scale, 0.0), scale - 1))
        y = np.uint64(min(max((latitude[point] + 90) / 180 * scale, 0.0), scale - 1))
        keys[point] = _spread(x) | (_spread(y) << np.uint64(1))
    return keys


@compiled
def _spread(value):
    """The 32 lowest bits, each followed by a zero."""
    value = (value | (value << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    value = (value | (value << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    value = (value | (value << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value | (value << np.uint64(2))) & np.uint64(0x3333333333333333)
    return (value | (value << np.uint64(1))) & np.uint64(0x5555555555555555)


def curve_order(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Order of points along the curve, int64 (n,); points of one place on it keep their order."""
    return np.argsort(curve_keys(latitude, longitude), kind="stable")


@compiled
def matches(latitude, longitude, known_latitude, known_longitude):
    """For each point, where among the known ones the same coordinates stand, else -1, int64 (n,). Both on the curve."""
    keys, known = curve_keys(latitude, longitude), curve_keys(known_latitude, known_longitude)
    found = np.full(len(keys), -1, dtype=np.int64)
    begin = 0
    for point in range(len(keys)):
        while begin < len(known) and known[begin] < keys[point]:
            begin += 1
        place = begin
        while place < len(known) and known[place] == keys[point]:
            if known_latitude[place] == latitude[point] and known_longitude[place] == longitude[point]:
                found[point] = place
                break
            place += 1
    return found
