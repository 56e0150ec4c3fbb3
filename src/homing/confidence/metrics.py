"""The `confidence` section of metrics.json: calibration, likelihood, regions and risk of a `predictions` table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
from homing.confidence.conformal import ConformalCells
from homing.confidence.regions import coverage, smallest_region
from homing.sphere import EARTH_RADIUS_KM

GLOBE_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2
LEVELS = (0.5, 0.9)
COVERAGES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # points of the risk-coverage curve
MIN_PHOTOS = 20  # in each half; nothing is fitted on fewer


@dataclass(frozen=True)
class RankedCells:
    """The k most probable cells of n photos, and the truth.

    probability, area_km2: (n, k); centroids: (n, k, 2), latitude and longitude; true: (n,), the column of the true
    cell, -1 if it is not among them; error_km: (n,), of the first answer; place: (n, 2), true latitude and longitude.
    """

    probability: np.ndarray
    area_km2: np.ndarray
    centroids: np.ndarray
    true: np.ndarray
    error_km: np.ndarray
    place: np.ndarray

    def take(self, rows: np.ndarray) -> "RankedCells":
        """Return the photos at `rows`, a mask (n,) or indices."""
        return RankedCells(*(getattr(self, field.name)[rows] for field in fields(self)))


def confidence_metrics(
    ranked: RankedCells, clusters: np.ndarray, radii_km: Sequence[float], seed: int
) -> dict[str, Any]:
    """Return calibration per radius, likelihood, coverage of regions and the risk-coverage curve, ready for JSON.

    The spread of the densities and the conformal thresholds are fitted on half the photographers and measured on the
    other half, and vice versa. clusters: (n,), the number of each photo's photographer.
    """
    confidence = ranked.probability[:, 0]
    spread_km, fitted = _cross_fitted(ranked, clusters, seed)
    diagrams = {}
    for radius in radii_km:
        stated = probability_within(ranked.probability, ranked.centroids, ranked.centroids[:, 0], radius, spread_km)
        diagrams[f"within_{radius:g}_km"] = _diagram(np.minimum(stated, 1), ranked.error_km <= radius)
    share, risk = risk_against_coverage(confidence, ranked.error_km)
    at = np.searchsorted(share, COVERAGES)
    own, best, none = area_under_risk(confidence, ranked.error_km)
    return {
        "kept_probability": float(ranked.probability.sum(axis=1).mean()),
        "true_cell_kept": float((ranked.true >= 0).mean()),
        "first_cell": _diagram(confidence, ranked.true == 0),
        "reliability": diagrams,
        "regions": {f"{level:g}": _region(ranked, level) for level in LEVELS},
        "risk_km_by_coverage": {f"{wanted:g}": float(risk[row]) for wanted, row in zip(COVERAGES, at, strict=True)},
        "mean_risk_km": {"own": own, "best": best, "none": none},
    } | fitted


def _diagram(stated: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    found = reliability(stated, true)
    filled = found.photos > 0
    bins = {name: getattr(found, name)[filled].tolist() for name in ("photos", "stated", "true")}
    return {"expected_error": found.expected_error} | bins


def _region(ranked: RankedCells, level: float) -> dict[str, float]:
    return vars(coverage(smallest_region(ranked.probability, level), ranked.true, ranked.area_km2, level))


def _cross_fitted(ranked: RankedCells, clusters: np.ndarray, seed: int) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Return the spread (n,) around each photo's cells, km, and the metrics of what is fitted on the other half.

    All are None if a half of the photographers has too few photos.
    """
    names = np.unique(clusters)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    first = np.isin(clusters, chosen)
    if min(first.sum(), (~first).sum()) < MIN_PHOTOS:
        return None, {"spread_km": None, "negative_log_likelihood": None, "conformal": None}
    spread_km, losses = np.empty(len(first)), np.empty(len(first))
    halves: dict[float, list[tuple[float, ...]]] = {level: [] for level in LEVELS}
    for rows in (first, ~first):
        fitting, held_out = ranked.take(~rows), ranked.take(rows)
        spread = fit_spread_km(fitting.probability, fitting.centroids, fitting.place)
        spread_km[rows] = spread
        losses[rows] = negative_log_likelihood(held_out.probability, held_out.centroids, held_out.place, spread)
        for level in LEVELS:
            fitted = ConformalCells.fit(fitting.probability, fitting.true, level, seed)
            halves[level].append((rows.mean(), *_conformal_coverage(fitted, held_out, seed + 1)))
    conformal = {f"{level:g}": _averaged(level, np.array(found)) for level, found in halves.items()}
    likelihood = float(losses.mean())
    return spread_km, {
        "spread_km": float(spread_km.mean()),
        "negative_log_likelihood": likelihood,
        "conformal": conformal,
    }


def _conformal_coverage(fitted: ConformalCells, held_out: RankedCells, seed: int) -> tuple[float, float, float]:
    """Return the coverage of held-out photos, the mean area (km2), and 1 if every region is the whole globe, else 0."""
    if fitted.everywhere:
        return 1.0, GLOBE_KM2, 1.0
    found = coverage(fitted.regions(held_out.probability, seed), held_out.true, held_out.area_km2, fitted.level)
    return found.covered, found.mean_area_km2, 0.0


def _averaged(level: float, halves: np.ndarray) -> dict[str, float]:
    """Return the mean of both halves, weighted by their share of the photos, the first column of `halves`."""
    covered, area, everywhere = (halves[:, 0] @ halves[:, 1:]).tolist()
    return {"level": level, "covered": covered, "mean_area_km2": area, "everywhere_share": everywhere}
