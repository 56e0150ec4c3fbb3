"""Whether stated probabilities come true: temperatures, reliability, likelihood on the sphere, risk against coverage.

Everything is arrays. Photos are rows, cells are columns; a photo's probabilities sum to 1 over its columns.
Temperatures are fitted on validation photos and used on others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chndtr

from homing.errors import HomingError
from homing.sphere import EARTH_RADIUS_KM, haversine_km

BINS = 15
COLDEST, HOTTEST = 0.02, 50.0  # temperatures that are tried
GOLDEN = (np.sqrt(5) - 1) / 2
FARTHEST_SPREADS = 6.0  # from a cell's middle: as good as nothing of it lies beyond
SPREAD_KM = 300.0  # of the densities around cells, where none is given


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (n, c) of logits (n, c); log-probabilities do as well."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def log_loss(logits: np.ndarray, true: np.ndarray, temperature: float = 1.0) -> float:
    """Mean of -log of the true cell's probability; true: (n,) its column."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float(np.mean(total - scaled[np.arange(len(true)), true]))


def fit_temperature(logits: np.ndarray, true: np.ndarray) -> float:
    """The temperature with the smallest log loss on validation photos (Guo et al., ICML 2017).

    The loss has one minimum in 1 / temperature; it is closed in by golden sections of the temperature's logarithm.
    Raises HomingError without photos.
    """
    if not len(true):
        raise HomingError(
            "no validation photo with a known cell: no temperature can be fitted; a larger splits.val_share gives some"
        )
    low, high = np.log(COLDEST), np.log(HOTTEST)
    while high - low > 1e-4:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if log_loss(logits, true, np.exp(left)) < log_loss(logits, true, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: bins of stated probability, what was stated in them on average, and what came true."""

    edges: np.ndarray  # (b + 1,)
    photos: np.ndarray  # (b,)
    stated: np.ndarray  # (b,) NaN in empty bins
    true: np.ndarray  # (b,) NaN in empty bins

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean of |stated - true| over the photos."""
        filled = self.photos > 0
        gaps = np.abs(self.stated - self.true)[filled]
        return float(np.average(gaps, weights=self.photos[filled]))


def reliability(stated: np.ndarray, true: np.ndarray, bins: int = BINS) -> Reliability:
    """Stated probabilities (n,) against what came true (n,) (0 or 1), in bins of equal width."""
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.searchsorted(edges, stated, side="right") - 1, 0, bins - 1)
    photos = np.bincount(number, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(number, values, bins) / photos for values in (stated, true)]
    return Reliability(edges, photos, *means)


def calibrate(logits: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """The temperature fitted on validation photos (n, c), and what it makes of them, ready for JSON.

    `before` and `after` it: log_loss, and expected_error, stated against true of the first cell. true: (n,) columns.
    """
    temperature = round(fit_temperature(logits, true), 4)  # closed in no further
    first = logits.argmax(axis=1) == true

    def figures(heat: float) -> dict[str, float]:
        stated = softmax(logits, heat).max(axis=1)
        return {
            "log_loss": log_loss(logits, true, heat),
            "expected_error": reliability(stated, first).expected_error,
        }

    return {"temperature": temperature, "photos": len(true), "before": figures(1.0), "after": figures(temperature)}


def probability_within(
    probabilities: np.ndarray,
    cells: np.ndarray,
    answers: np.ndarray,
    radius_km: float,
    spread_km: np.ndarray | None = None,
) -> np.ndarray:
    """The stated probability (n,) that each answer is within a radius.

    probabilities: (n, c); cells: (c, 2) latitude and longitude of their middles, or (n, c, 2); answers: (n, 2). A
    cell's probability lies at its middle, or, with spread_km (n,), around it as a normal distribution with that
    standard deviation along each of two axes: the squared distance to the answer then is a noncentral chi-square.
    """
    away = haversine_km(answers[:, :1], answers[:, 1:], cells[..., 0], cells[..., 1])
    if spread_km is None:
        return np.where(away <= radius_km, probabilities, 0).sum(axis=1)
    spread = np.broadcast_to(spread_km[:, None], away.shape)
    near = away < radius_km + FARTHEST_SPREADS * spread
    share = np.zeros(away.shape)
    share[near] = chndtr((radius_km / spread[near]) ** 2, 2, (away[near] / spread[near]) ** 2)
    return (probabilities * share).sum(axis=1)


def von_mises_fisher(away_km: np.ndarray, spread_km: np.ndarray | float) -> np.ndarray:
    """Log density per km2 of a von Mises-Fisher distribution, so far from its middle.

    spread_km: its standard deviation along each of two axes, the Earth's radius over the root of kappa, for spreads
    well below that radius. The density is kappa exp(kappa (cos angle - 1)) / (2 pi (1 - exp(-2 kappa))) per steradian
    (Mardia & Jupp, Directional Statistics, 2000, section 9.3.2).
    """
    kappa = (EARTH_RADIUS_KM / np.asarray(spread_km)) ** 2
    drop = -2 * kappa * np.sin(np.asarray(away_km) / (2 * EARTH_RADIUS_KM)) ** 2
    return np.log(kappa / (2 * np.pi * EARTH_RADIUS_KM**2)) + drop - np.log1p(-np.exp(-2 * kappa))


def negative_log_likelihood(
    probabilities: np.ndarray, cells: np.ndarray, true: np.ndarray, spread_km: np.ndarray | float = SPREAD_KM
) -> np.ndarray:
    """-log of the density (per km2) at each true place (n,): a mixture of von Mises-Fisher distributions around cells.

    probabilities: (n, c); cells: (c, 2) or (n, c, 2) middles; true: (n, 2); spread_km: one, or (c,) of the cells, as
    the root mean square distance of their training photos over the root of 2. What the probabilities lack to 1, as when
    only the best cells are kept, is spread evenly over the globe.
    """
    away = haversine_km(true[:, :1], true[:, 1:], cells[..., 0], cells[..., 1])
    with np.errstate(divide="ignore"):
        parts = np.log(probabilities) + von_mises_fisher(away, spread_km)
        elsewhere = np.log(np.clip(1 - probabilities.sum(axis=1), 0, 1)) - np.log(4 * np.pi * EARTH_RADIUS_KM**2)
    parts = np.column_stack([parts, elsewhere])
    top = parts.max(axis=1)
    return -(top + np.log(np.exp(parts - top[:, None]).sum(axis=1)))


def fit_spread_km(probabilities: np.ndarray, cells: np.ndarray, true: np.ndarray) -> float:
    """The one spread of the densities around cells, km, under which validation photos are likeliest, of 60 tried."""
    tried = np.geomspace(1, EARTH_RADIUS_KM, 60)
    losses = [negative_log_likelihood(probabilities, cells, true, spread).mean() for spread in tried]
    return float(tried[int(np.argmin(losses))])


def risk_against_coverage(confidence: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (n,) and the mean loss (n,) of the photos answered, when the most confident are answered first.

    Photos of the same confidence are answered together: each has the risk of all of them.
    """
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.searchsorted(-ordered, -ordered, side="right")
    risk = np.cumsum(loss[order])[last - 1] / last
    return last / len(loss), risk


def area_under_risk(confidence: np.ndarray, loss: np.ndarray) -> tuple[float, float, float]:
    """Mean risk over all coverages: of these confidences, of the best possible ones, and of none (all photos alike)."""
    own = float(risk_against_coverage(confidence, loss)[1].mean())
    best = float(risk_against_coverage(-loss, loss)[1].mean())
    return own, best, float(loss.mean())
