"""Metrics of a set of errors with 95 % confidence intervals, and differences of two sets on the same photos.

Intervals resample photographers (or places), not photos: photos by one person are not independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from homing.evaluate.bootstrap import DRAWS, cluster_numbers, interval, resample
from homing.evaluate.distances import distances_km, geoscores

RADII_KM = (1, 25, 200, 750, 2500)
QUANTILES = {"p10_km": 0.1, "p25_km": 0.25, "median_km": 0.5, "p75_km": 0.75, "p90_km": 0.9}
MIN_CLUSTERS = 5  # a group with fewer has no interval, since it would be far too narrow


@dataclass(frozen=True)
class Sampling:
    """Settings of the bootstrap; there are no intervals with 0 draws."""

    draws: int = DRAWS
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Measured:
    """Metrics by name, and their values in each draw (draws,)."""

    values: Mapping[str, float]
    drawn: Mapping[str, np.ndarray]

    def figures(self) -> dict[str, Any]:
        """Return the metrics, with the bounds of each in `interval_95` if there are draws."""
        if not self.drawn:
            return dict(self.values)
        return {**self.values, "interval_95": _bounds(self.drawn)}


def _bounds(drawn: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    return dict(zip(drawn, interval(np.column_stack(list(drawn.values()))).T.tolist(), strict=True))


def measure(
    error_km: np.ndarray,
    hits: Mapping[str, np.ndarray],
    radii_km: Sequence[float],
    clusters: np.ndarray,
    sampling: Sampling,
) -> Measured:
    """Return quantiles and mean of errors (n,), GeoScore, the shares within the radii, and the share of each hit.

    hits: 1, 0, or NaN if the truth is unknown, (n,); photos with NaN do not count. clusters: (n,), any integers.
    """
    columns = {"mean_km": error_km, "geoscore": geoscores(error_km)}
    columns |= {f"within_{radius:g}_km": error_km <= radius for radius in radii_km}
    for name, hit in hits.items():
        columns |= {name: np.nan_to_num(hit), f"known_{name}": ~np.isnan(hit)}
    table = np.column_stack(list(columns.values())).astype(np.float64, copy=False)
    levels = list(QUANTILES.values())
    values = _named(columns, table.mean(axis=0)[None], np.quantile(error_km, levels)[None], hits)
    drawn = {}
    if sampling.draws:
        numbered = np.unique(clusters, return_inverse=True)[1]
        found = resample(table, numbered, error_km, levels, sampling.draws, sampling.seed, sampling.workers)
        drawn = _named(columns, *found, hits)
    return Measured({name: float(value[0]) for name, value in values.items()}, drawn)


def _named(
    columns: Mapping[str, Any], means: np.ndarray, quantiles: np.ndarray, hits: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return metrics (draws,) by name; the share of a hit is of the photos whose truth is known."""
    found = dict(zip(columns, means.T, strict=True))
    for name in hits:
        known = found.pop(f"known_{name}")
        found[name] = found[name] / np.maximum(known, 1e-300)
    return dict(zip(QUANTILES, quantiles.T, strict=True)) | found


def differences(first: Measured, second: Measured) -> dict[str, dict[str, Any]]:
    """Return first - second of each metric, with the interval of the paired difference in the same draws."""
    found: dict[str, dict[str, Any]] = {
        name: {"difference": first.values[name] - second.values[name]} for name in first.values
    }
    for name in first.drawn:
        found[name]["interval_95"] = interval((first.drawn[name] - second.drawn[name])[:, None])[:, 0].tolist()
    return found


def by_group(
    names: pd.Series,
    error_km: np.ndarray,
    hits: Mapping[str, np.ndarray],
    radii_km: Sequence[float],
    clusters: np.ndarray,
    sampling: Sampling,
) -> dict[str, dict[str, Any]]:
    """Return the metrics of the photos of each name (n,), with n and the number of clusters, the largest group first.

    Photos without a name are in no group; a group with fewer than `MIN_CLUSTERS` clusters has no intervals.
    """
    codes, uniques = pd.factorize(names)
    order = np.argsort(codes, kind="stable")[(codes < 0).sum() :]
    sizes = np.bincount(codes[codes >= 0], minlength=len(uniques))
    groups = zip(uniques, np.split(order, np.cumsum(sizes)[:-1]), strict=True) if len(uniques) else ()
    found = {}
    for name, rows in sorted(groups, key=lambda group: (-len(group[1]), str(group[0]))):
        count = len(np.unique(clusters[rows]))
        draws = sampling if count >= MIN_CLUSTERS else Sampling(draws=0)
        known = {kind: hit[rows] for kind, hit in hits.items()}
        measured = measure(error_km[rows], known, radii_km, clusters[rows], draws)
        found[str(name)] = {"n": len(rows), "clusters": count, **measured.figures()}
    return found


def hit(predicted: pd.Series, true: pd.Series) -> np.ndarray:
    """Return (n,): 1 if the predicted name is the true one, 0 if it is not or missing, NaN if the truth is unknown."""
    same = (predicted.reset_index(drop=True) == true.reset_index(drop=True)).fillna(False).to_numpy(dtype=bool)
    return np.where(true.isna().to_numpy(), np.nan, same.astype(np.float64))


def score(
    truth: pd.DataFrame, readouts: Mapping[str, pd.DataFrame], radii_km: Sequence[float], seed: int
) -> dict[str, Any]:
    """Return the metrics of each readout, by country too, ready for JSON.

    truth: photo_id, latitude, longitude, author, and optionally country and region_id; readouts: `predictions` tables,
    optionally with country and region.
    """
    clusters = cluster_numbers(truth["author"])
    scored = {}
    for name, predictions in readouts.items():
        error_km = distances_km(truth, predictions)
        hits = _place_hits(truth, predictions)
        figures = measure(error_km, hits, radii_km, clusters, Sampling(seed=seed)).figures()
        missing = int((~truth["photo_id"].isin(predictions["photo_id"])).sum())
        scored[name] = figures | {"missing": missing, "clusters": int(clusters.max()) + 1}
        if "country" in truth:
            groups = by_group(truth["country"], error_km, hits, radii_km, clusters, Sampling(seed=seed))
            scored[name]["per_country"] = groups
    return scored


def score_subset(
    truth: pd.DataFrame, readouts: Mapping[str, pd.DataFrame], radii_km: Sequence[float], rows: np.ndarray
) -> dict[str, Any]:
    """Return n and the metrics of each readout, without intervals, of the photos in `rows`, a mask (n,)."""
    subset, no_draws = truth[rows].reset_index(drop=True), Sampling(draws=0)
    clusters = np.arange(len(subset))
    found: dict[str, Any] = {"n": len(subset)}
    for name, table in readouts.items():
        measured = measure(distances_km(subset, table), _place_hits(subset, table), radii_km, clusters, no_draws)
        found[name] = measured.figures()
    return found


def _place_hits(truth: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return whether the country and region of the first answers are the true ones, if both tables have them."""
    first = predictions[predictions["rank"] == 0].set_index("photo_id")
    return {
        f"{name}_accuracy": hit(first[name].reindex(truth["photo_id"]), truth[label])
        for name, label in (("country", "country"), ("region", "region_id"))
        if name in first and label in truth
    }
