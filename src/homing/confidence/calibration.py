"""Calibration: temperature scaling, reliability diagrams, likelihood on the sphere, risk-coverage curves.

All inputs are arrays with one row per photo and one column per cell; the probabilities of a photo sum to at most 1.
Temperatures are fitted on validation photos and applied to others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chndtr

from homing.errors import HomingError
from homing.sphere import EARTH_RADIUS_KM, haversine_km

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.02, 50.0
GOLDEN_RATIO = (np.sqrt(5) - 1) / 2
MAX_SPREADS = 6.0  # a cell's density is taken as 0 farther from its centroid than this many standard deviations
DEFAULT_SPREAD_KM = 300.0  # of the density around a cell


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the softmax (n, c) of logits (n, c) divided by a temperature; log-probabilities work as logits."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def log_loss(logits: np.ndarray, true: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean of -log p(true cell). logits: (n, c); true: (n,), the column of the true cell."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    top = scaled.max(axis=1)
    log_normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float(np.mean(log_normaliser - scaled[np.arange(len(true)), true]))


def fit_temperature(logits: np.ndarray, true: np.ndarray) -> float:
    """Return the temperature with the smallest log loss on validation photos (Guo et al., ICML 2017).

    The loss has one minimum, since it is convex in 1 / temperature; a golden-section search of the logarithm of the
    temperature finds it. Raises HomingError if there is no photo.
    """
    if not len(true):
        raise HomingError(
            "no validation photo with a known cell, so no temperature can be fitted; increase splits.val_share"
        )
    low, high = np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)
    while high - low > 1e-4:
        left, right = high - GOLDEN_RATIO * (high - low), low + GOLDEN_RATIO * (high - low)
        if log_loss(logits, true, np.exp(left)) < log_loss(logits, true, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: per bin of stated probability the number of photos, the mean stated probability, and the
    share of photos for which the statement was true."""

    edges: np.ndarray  # (b + 1,)
    photos: np.ndarray  # (b,)
    stated: np.ndarray  # (b,) NaN in empty bins
    true: np.ndarray  # (b,) NaN in empty bins

    @property
    def expected_error(self) -> float:
        """Expected calibration error (ECE): the mean over photos of |stated - true| of their bin."""
        filled = self.photos > 0
        gaps = np.abs(self.stated - self.true)[filled]
        return float(np.average(gaps, weights=self.photos[filled]))


def reliability(stated: np.ndarray, true: np.ndarray, bins: int = BINS) -> Reliability:
    """Return the reliability diagram of stated probabilities (n,) and outcomes (n,), 0 or 1, in bins of equal width."""
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, stated, side="right") - 1, 0, bins - 1)
    photos = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_stated, mean_true = (np.bincount(bin_of, values, bins) / photos for values in (stated, true))
    return Reliability(edges, photos, mean_stated, mean_true)


def calibrate(logits: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """Fit a temperature on validation photos and return it with what it changes, ready for JSON.

    `before` and `after` hold the log loss and the expected calibration error of the most probable cell. logits: (n, c);
    true: (n,), the column of the true cell.
    """
    temperature = round(fit_temperature(logits, true), 4)  # the search is no more precise
    first_is_true = logits.argmax(axis=1) == true

    def figures(temperature: float) -> dict[str, float]:
        stated = softmax(logits, temperature).max(axis=1)
        return {
            "log_loss": log_loss(logits, true, temperature),
            "expected_error": reliability(stated, first_is_true).expected_error,
        }

    return {"temperature": temperature, "photos": len(true), "before": figures(1.0), "after": figures(temperature)}


def probability_within(
    probabilities: np.ndarray,
    cells: np.ndarray,
    answers: np.ndarray,
    radius_km: float,
    spread_km: np.ndarray | None = None,
) -> np.ndarray:
    """Return the probability (n,) that each answer lies within a radius of the true place, as the model states it.

    probabilities: (n, c); cells: centroids (latitude, longitude), (c, 2) or (n, c, 2); answers: (n, 2). The probability
    of a cell is concentrated at its centroid or, with spread_km (n,), is a normal distribution around it with that
    standard deviation along each axis: the squared distance to the answer then follows a noncentral chi-square.
    """
    distance_nc = haversine_km(answers[:, :1], answers[:, 1:], cells[..., 0], cells[..., 1])
    if spread_km is None:
        return np.where(distance_nc <= radius_km, probabilities, 0).sum(axis=1)
    spread_nc = np.broadcast_to(spread_km[:, None], distance_nc.shape)
    near = distance_nc < radius_km + MAX_SPREADS * spread_nc
    share_nc = np.zeros(distance_nc.shape)
    share_nc[near] = chndtr((radius_km / spread_nc[near]) ** 2, 2, (distance_nc[near] / spread_nc[near]) ** 2)
    return (probabilities * share_nc).sum(axis=1)


def log_von_mises_fisher(distance_km: np.ndarray, spread_km: np.ndarray | float) -> np.ndarray:
    """Return the log density per km2 of a von Mises-Fisher distribution at a distance from its mean direction.

    spread_km: the standard deviation along each axis, that is the Earth's radius over sqrt(kappa), valid for spreads
    well below that radius. The density is kappa exp(kappa (cos angle - 1)) / (2 pi (1 - exp(-2 kappa))) per steradian
    (Mardia & Jupp, Directional Statistics, 2000, section 9.3.2).
    """
    kappa = (EARTH_RADIUS_KM / np.asarray(spread_km)) ** 2
    exponent = -2 * kappa * np.sin(np.asarray(distance_km) / (2 * EARTH_RADIUS_KM)) ** 2
    return np.log(kappa / (2 * np.pi * EARTH_RADIUS_KM**2)) + exponent - np.log1p(-np.exp(-2 * kappa))


def negative_log_likelihood(
    probabilities: np.ndarray, cells: np.ndarray, true: np.ndarray, spread_km: np.ndarray | float = DEFAULT_SPREAD_KM
) -> np.ndarray:
    """Return -log density (per km2) at each true place (n,), under a mixture of von Mises-Fisher densities per cell.

    probabilities: (n, c); cells: centroids, (c, 2) or (n, c, 2); true: (n, 2); spread_km: a number, or (c,), such as
    the root mean square distance of a cell's training photos over sqrt(2). Probability that is missing to 1, because
    only the most probable cells are kept, is uniform over the globe.
    """
    distance_nc = haversine_km(true[:, :1], true[:, 1:], cells[..., 0], cells[..., 1])
    with np.errstate(divide="ignore"):
        parts = np.log(probabilities) + log_von_mises_fisher(distance_nc, spread_km)
        missing = np.log(np.clip(1 - probabilities.sum(axis=1), 0, 1)) - np.log(4 * np.pi * EARTH_RADIUS_KM**2)
    parts = np.column_stack([parts, missing])
    top = parts.max(axis=1)
    return -(top + np.log(np.exp(parts - top[:, None]).sum(axis=1)))


def fit_spread_km(probabilities: np.ndarray, cells: np.ndarray, true: np.ndarray) -> float:
    """Return the spread of the densities around cells, km, with the highest likelihood of the photos, of 60 tried."""
    tried = np.geomspace(1, EARTH_RADIUS_KM, 60)
    losses = [negative_log_likelihood(probabilities, cells, true, spread).mean() for spread in tried]
    return float(tried[int(np.argmin(losses))])


def risk_against_coverage(confidence: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the risk-coverage curve: coverage (n,) and mean loss (n,), the most confident photos answered first.

    Photos with equal confidence are answered together: each has the risk of all of them.
    """
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.searchsorted(-ordered, -ordered, side="right")
    risk = np.cumsum(loss[order])[last - 1] / last
    return last / len(loss), risk


def area_under_risk(confidence: np.ndarray, loss: np.ndarray) -> tuple[float, float, float]:
    """Return the mean risk over all coverages (AURC) of these confidences, of an oracle's, and of constant ones."""
    own = float(risk_against_coverage(confidence, loss)[1].mean())
    best = float(risk_against_coverage(-loss, loss)[1].mean())
    return own, best, float(loss.mean())
