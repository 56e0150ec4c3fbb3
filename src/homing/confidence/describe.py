"""Whether the probabilities of a `predictions` table can be trusted: everything about them that metrics tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homing.confidence.calibration import (
    area_under_risk,
    fit_spread_km,
    negative_log_likelihood,
    probability_within,
    reliability,
    risk_against_coverage,
)
from homing.confidence.distributions import region
from homing.confidence.regions import ConformalCells, coverage
from homing.sphere import EARTH_RADIUS_KM

WHOLE_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2
LEVELS = (0.5, 0.9)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of photos answered, in the risk against coverage
FEWEST_PHOTOS = 20  # of each half; too few for conformal regions otherwise


@dataclass(frozen=True)
class Ranked:
    """The best cells of photos: probability, and area, (n, k); middles (n, k, 2); true (n,) the column of the cell that
    holds the photo, -1 where it is none of them; away_km (n,) of the first answer; place (n, 2) the true one."""

    probability: np.ndarray
    area_km2: np.ndarray
    middles: np.ndarray
    true: np.ndarray
    away_km: np.ndarray
    place: np.ndarray

    def some(self, rows: np.ndarray) -> "Ranked":
        """Those of some photos."""
        return Ranked(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def describe_confidence(ranked: Ranked, clusters: np.ndarray, radii_km: Sequence[float], seed: int) -> dict[str, Any]:
    """Calibration by radius, likelihood, regions and their coverage, risk against coverage; ready for JSON.

    What must be fitted (the spread of the densities, conformal thresholds) is fitted on half the photographers and
    measured on the other half, and the reverse.
    """
    confidence = ranked.probability[:, 0]
    spread, fitted = _fitted(ranked, clusters, seed)
    diagrams = {}
    for radius in radii_km:
        stated = probability_within(ranked.probability, ranked.middles, ranked.middles[:, 0], radius, spread)
        diagrams[f"within_{radius:g}_km"] = _diagram(np.minimum(stated, 1), ranked.away_km <= radius)
    share, risk = risk_against_coverage(confidence, ranked.away_km)
    at = np.searchsorted(share, SHARES)
    own, best, none = area_under_risk(confidence, ranked.away_km)
    return {
        "kept_probability": float(ranked.probability.sum(axis=1).mean()),
        "true_cell_kept": float((ranked.true >= 0).mean()),
        "first_cell": _diagram(confidence, ranked.true == 0),
        "reliability": diagrams,
        "regions": {f"{level:g}": _region(ranked, level) for level in LEVELS},
        "risk_km_by_coverage": {f"{wanted:g}": float(risk[row]) for wanted, row in zip(SHARES, at, strict=True)},
        "mean_risk_km": {"own": own, "best": best, "none": none},
    } | fitted


def _diagram(stated: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    found = reliability(stated, true)
    filled = found.photos > 0
    bins = {name: getattr(found, name)[filled].tolist() for name in ("photos", "stated", "true")}
    return {"expected_error": found.expected_error} | bins


def _region(ranked: Ranked, level: float) -> dict[str, float]:
    return vars(coverage(region(ranked.probability, level), ranked.true, ranked.area_km2, level))


def _fitted(ranked: Ranked, clusters: np.ndarray, seed: int) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The spread (n,) around each photo's cells, km; likelihood and conformal regions. Each half of the photographers
    by the fit of the other; nothing is fitted on too few."""
    names = np.unique(clusters)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    first = np.isin(clusters, chosen)
    if min(first.sum(), (~first).sum()) < FEWEST_PHOTOS:
        return None, {"spread_km": None, "negative_log_likelihood": None, "conformal": None}
    spread, losses = np.empty(len(first)), np.empty(len(first))
    halves: dict[float, list[tuple[float, ...]]] = {level: [] for level in LEVELS}
    for rows in (first, ~first):
        fit, held = ranked.some(~rows), ranked.some(rows)
        spread[rows] = fit_spread_km(fit.probability, fit.middles, fit.place)
        losses[rows] = negative_log_likelihood(held.probability, held.middles, held.place, spread[rows][0])
        for level in LEVELS:
            fitted = ConformalCells.fit(fit.probability, fit.true, level, seed)
            halves[level].append((rows.mean(), *_conformal(fitted, held, seed + 1)))
    conformal = {f"{level:g}": _averaged(level, np.array(found)) for level, found in halves.items()}
    likelihood = float(losses.mean())
    return spread, {"spread_km": float(spread.mean()), "negative_log_likelihood": likelihood, "conformal": conformal}


def _conformal(fitted: ConformalCells, held: Ranked, seed: int) -> tuple[float, float, float]:
    """How often further photos are in their regions, the regions' mean area (km2), and whether they are the globe."""
    if fitted.everywhere:
        return 1.0, WHOLE_KM2, 1.0
    found = coverage(fitted.regions(held.probability, seed), held.true, held.area_km2, fitted.level)
    return found.covered, found.mean_area_km2, 0.0


def _averaged(level: float, halves: np.ndarray) -> dict[str, float]:
    covered, area, everywhere = (halves[:, 0] @ halves[:, 1:]).tolist()
    return {"level": level, "covered": covered, "mean_area_km2": area, "everywhere_share": everywhere}
