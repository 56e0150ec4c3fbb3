"""Exact orientation predicate, compiled: on which side of an edge a point lies, without rounding errors.

A floating-point filter decides most cases; the others take the sign of an exact sum of exact products (Shewchuk,
"Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997).
"""

import numba
import numpy as np

compiled = numba.njit(cache=True, nogil=True)

FILTER = 3.3306690738754716e-16  # bound of the relative rounding error of the determinant
SPLITTER = 134217729.0  # 2**27 + 1: splits a float64 into two halves whose products are exact


@compiled
def side(ax, ay, bx, by, px, py):
    """Return 1 if p lies left of the line from a to b, -1 if right, 0 if on it."""
    left, right = (ax - px) * (by - py), (ay - py) * (bx - px)
    determinant = left - right
    if abs(determinant) > FILTER * (abs(left) + abs(right)):
        return 1 if determinant > 0 else -1
    return _exact_sign(ax, ay, bx, by, px, py)


@compiled
def is_right(ax, ay, bx, by, px, py):
    """True if p lies right of an edge that crosses its latitude, or on it."""
    found = side(ax, ay, bx, by, px, py)
    return found <= 0 if by > ay else found >= 0


@compiled
def is_above(ax, ay, bx, by, px, py):
    """True if p, moved east by an infinitesimal step, lies above an edge that crosses its longitude."""
    found = side(ax, ay, bx, by, px, py)
    if found == 0:
        found = -1 if by > ay else 1
    return (found > 0) == (bx > ax)


@compiled
def _exact_sign(ax, ay, bx, by, px, py):
    """Return the sign of the determinant: six exact products, added into an expansion of nonoverlapping terms."""
    expansion = np.zeros(13)
    count = 0
    for first, second in ((ax, by), (-ax, py), (-px, by), (-ay, bx), (ay, px), (py, bx)):
        product = first * second
        first_high, first_low = _split(first)
        second_high, second_low = _split(second)
        error = first_high * second_high - product
        error = first_low * second_low + (error + first_high * second_low + first_low * second_high)
        for term in (error, product):
            for term_index in range(count):
                total = expansion[term_index] + term
                part = total - expansion[term_index]
                expansion[term_index] = (expansion[term_index] - (total - part)) + (term - part)
                term = total
            expansion[count] = term
            count += 1
    for term_index in range(count - 1, -1, -1):
        if expansion[term_index] != 0:
            return 1 if expansion[term_index] > 0 else -1
    return 0


@compiled
def _split(value):
    """Split a float64 into a high and a low half (Dekker 1971)."""
    scaled = SPLITTER * value
    high = scaled - (scaled - value)
    return high, value - high
