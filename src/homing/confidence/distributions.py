"""Probabilities over cells as arrays: photos are rows, cells are columns."""

import numpy as np


def mass_before(probabilities: np.ndarray) -> np.ndarray:
    """The probability (n, c) of all cells that are more probable than each; of equal ones the first column counts."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.concatenate([np.zeros((len(ordered), 1)), np.cumsum(ordered, axis=1)[:, :-1]], axis=1)
    found = np.empty_like(before)
    np.put_along_axis(found, order, before, axis=1)
    return found


def region(probabilities: np.ndarray, level: float) -> np.ndarray:
    """The fewest cells, a mask (n, c), whose probabilities sum to at least `level`, the most probable first."""
    return mass_before(probabilities) < level
