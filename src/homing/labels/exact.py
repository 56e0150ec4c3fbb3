"""On which side of an edge a point lies, without rounding errors, in compiled code.

The sign of a triangle's area is taken from a floating-point filter, and where that cannot tell, from an exact sum of
exact products (Shewchuk, Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates, 1997).
"""

import numba
import numpy as np

compiled = numba.njit(cache=True, nogil=True)

FILTER = 3.3306690738754716e-16  # relative error of the determinant in floating point
SPLITTER = 134217729.0  # 2**27 + 1: cuts a float64 into two halves whose products are exact


@compiled
def side(ax, ay, bx, by, px, py):
    """Where p lies beside the line from a to b: 1 left, -1 right, 0 on it."""
    left, right = (ax - px) * (by - py), (ay - py) * (bx - px)
    determinant = left - right
    if abs(determinant) > FILTER * (abs(left) + abs(right)):
        return 1 if determinant > 0 else -1
    return _sign_of_sum(ax, ay, bx, by, px, py)


@compiled
def is_right(ax, ay, bx, by, px, py):
    """Whether p lies right of an edge that passes its latitude, or on it."""
    found = side(ax, ay, bx, by, px, py)
    return found <= 0 if by > ay else found >= 0


@compiled
def is_above(ax, ay, bx, by, px, py):
    """Whether p, moved east by next to nothing, lies above an edge that passes its longitude."""
    found = side(ax, ay, bx, by, px, py)
    if found == 0:
        found = -1 if by > ay else 1
    return (found > 0) == (bx > ax)


@compiled
def _sign_of_sum(ax, ay, bx, by, px, py):
    """The determinant as six exact products, added into a sum of numbers that do not overlap."""
    sums = np.zeros(13)
    count = 0
    for first, second in ((ax, by), (-ax, py), (-px, by), (-ay, bx), (ay, px), (py, bx)):
        product = first * second
        first_high, first_low = _halves(first)
        second_high, second_low = _halves(second)
        error = first_high * second_high - product
        error = first_low * second_low + (error + first_high * second_low + first_low * second_high)
        for term in (error, product):
            for place in range(count):
                total = sums[place] + term
                part = total - sums[place]
                sums[place] = (sums[place] - (total - part)) + (term - part)
                term = total
            sums[count] = term
            count += 1
    for place in range(count - 1, -1, -1):
        if sums[place] != 0:
            return 1 if sums[place] > 0 else -1
    return 0


@compiled
def _halves(value):
    scaled = SPLITTER * value
    high = scaled - (scaled - value)
    return high, value - high
