"""Regions that hold the true place with a stated probability: by the model's own probabilities, and conformal ones.

A region is a set of cells, the most probable first. The model's own 50 % region is as good as the model is calibrated.
A conformal region is calibrated on held-out photos and holds the true cell of a further photo with at least the stated
probability, whatever the model, as long as the photos are exchangeable (Vovk, Gammerman & Shafer, Algorithmic Learning
in a Random World, 2005; adaptive sets: Romano, Sesia & Candès, NeurIPS 2020). Photographers make photos dependent:
calibrate on one photo per photographer, or read the guarantee with that in mind.
"""

from dataclasses import dataclass

import numpy as np

from homing.confidence.distributions import mass_before
from homing.errors import HomingError
from homing.sphere import EARTH_RADIUS_KM


@dataclass(frozen=True)
class Coverage:
    """What regions are worth: how often the true cell is inside, and how large they are."""

    level: float
    covered: float
    median_area_km2: float
    mean_area_km2: float
    median_cells: float


def coverage(regions: np.ndarray, true: np.ndarray, areas_km2: np.ndarray, level: float) -> Coverage:
    """Coverage of regions, masks (n, c). true: (n,) column of the true cell, -1 where it is none of them (not covered);
    areas_km2: (c,) or (n, c) of the cells."""
    inside = np.where(true >= 0, regions[np.arange(len(true)), true], False)
    area = (regions * areas_km2).sum(axis=1)
    cells = regions.sum(axis=1)
    return Coverage(level, float(inside.mean()), float(np.median(area)), float(area.mean()), float(np.median(cells)))


def conformal_quantile(scores: np.ndarray, level: float) -> float:
    """The score that a further photo's score exceeds with probability at most 1 - level: the ceil((n + 1) level)-th.

    Infinite where there are too few photos for the level. Raises HomingError without photos or for a level not in 0..1.
    """
    if not len(scores) or not 0 < level < 1:
        raise HomingError(
            f"a conformal region of {level:g} from {len(scores)} photos: give photos, and a level in 0..1"
        )
    rank = int(np.ceil((len(scores) + 1) * level - 1e-9))
    return float("inf") if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])


@dataclass(frozen=True)
class ConformalCells:
    """Sets of cells that hold the true one with probability of at least `level`; fitted on held-out photos."""

    level: float
    threshold: float

    @classmethod
    def fit(cls, probabilities: np.ndarray, true: np.ndarray, level: float, seed: int = 0) -> "ConformalCells":
        """From photos (n, c) that the model was not trained on and no temperature was fitted on; true: (n,) columns,
        -1: none of them, as when only the best cells are kept; such a photo is in no region but the whole globe."""
        scores = adaptive_scores(probabilities, draws(len(true), seed))
        own = scores[np.arange(len(true)), np.maximum(true, 0)]
        return cls(level, conformal_quantile(np.where(true < 0, np.inf, own), level))

    @property
    def everywhere(self) -> bool:
        """Whether no set of cells holds the level, so that the region of every photo is the whole globe: too few photos
        to fit, or too many whose true cell is not among the kept ones."""
        return bool(np.isinf(self.threshold))

    def regions(self, probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
        """Masks (n, c) of the sets of further photos; `seed` other than that of the fit."""
        return adaptive_scores(probabilities, draws(len(probabilities), seed)) <= self.threshold


def draws(count: int, seed: int) -> np.ndarray:
    """Numbers (count,) in 0..1, by which a cell on the border of a set is in it or not."""
    return np.random.default_rng(seed).random(count)


def adaptive_scores(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Scores (n, c): the probability of all more probable cells, and a random part, uniform (n,), of the cell's own."""
    return mass_before(probabilities) + uniform[:, None] * probabilities


def conformal_radius_km(away_km: np.ndarray, scale_km: np.ndarray, level: float) -> float:
    """The factor by which a photo's `scale_km` is multiplied for the radius of a circle that holds the true place with
    probability of at least `level`.

    away_km: (n,) distances of the answers of held-out photos; scale_km: (n,) above 0, what the model says of its own
    error, as its expected distance; 1 for circles of one radius.
    """
    return conformal_quantile(away_km / scale_km, level)


def circle_area_km2(radius_km: np.ndarray) -> np.ndarray:
    """Area of a circle on the sphere, all of the sphere from half its circumference on."""
    return 4 * np.pi * EARTH_RADIUS_KM**2 * np.sin(np.minimum(radius_km / EARTH_RADIUS_KM, np.pi) / 2) ** 2
