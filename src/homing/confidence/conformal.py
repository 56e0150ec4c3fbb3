"""Conformal prediction: sets of cells that hold the true cell with a stated probability, whatever the model.

The threshold is fitted on held-out photos; the guarantee for a further photo needs that photos are exchangeable (Vovk,
Gammerman & Shafer, Algorithmic Learning in a Random World, 2005; adaptive sets: Romano, Sesia & Candès, NeurIPS 2020).
Photos of one photographer are dependent: fit and measure on different photographers.
"""

from dataclasses import dataclass

import numpy as np

from homing.confidence.regions import mass_before
from homing.errors import HomingError


def conformal_quantile(scores: np.ndarray, level: float) -> float:
    """Return the ceil((n + 1) level)-th smallest score: a further score exceeds it with probability <= 1 - level.

    Infinite if there are too few photos for the level. Raises HomingError without photos or for a level outside 0..1.
    """
    if not len(scores) or not 0 < level < 1:
        raise HomingError(
            f"a conformal region of level {level:g} from {len(scores)} photos: give photos, and a level in 0..1"
        )
    rank = int(np.ceil((len(scores) + 1) * level - 1e-9))
    return float("inf") if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])


@dataclass(frozen=True)
class ConformalCells:
    """Sets of cells that hold the true cell with probability at least `level`; fitted on held-out photos."""

    level: float
    threshold: float

    @classmethod
    def fit(cls, probabilities: np.ndarray, true: np.ndarray, level: float, seed: int = 0) -> "ConformalCells":
        """Fit on photos (n, c) that neither the model nor its temperature was fitted on.

        true: (n,), the column of the true cell, or -1 if it has no column because only the most probable cells are
        kept; no set of cells holds such a photo.
        """
        scores = adaptive_scores(probabilities, uniform_draws(len(true), seed))
        own = scores[np.arange(len(true)), np.maximum(true, 0)]
        return cls(level, conformal_quantile(np.where(true < 0, np.inf, own), level))

    @property
    def everywhere(self) -> bool:
        """True if no set of cells reaches the level, so that every region is the whole globe.

        That is so with too few photos to fit on, or too many whose true cell has no column.
        """
        return bool(np.isinf(self.threshold))

    def regions(self, probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
        """Return the masks (n, c) of further photos; `seed` must differ from the seed of the fit."""
        return adaptive_scores(probabilities, uniform_draws(len(probabilities), seed)) <= self.threshold


def uniform_draws(count: int, seed: int) -> np.ndarray:
    """Return random numbers (count,) in 0..1 that decide whether a cell on the border of a set is in it."""
    return np.random.default_rng(seed).random(count)


def adaptive_scores(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return scores (n, c): the probability of all cells ranked before, plus a share, uniform (n,), of its own."""
    return mass_before(probabilities) + uniform[:, None] * probabilities
