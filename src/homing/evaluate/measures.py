"""The figures of a set of distances, each with a 95 % interval, and the differences of two sets on the same photos.

Intervals resample photographers (or places), not photos: one person's photos are not independent.
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
FEWEST_CLUSTERS = 5  # a group of fewer has no interval: it would be far too narrow


@dataclass(frozen=True)
class Sampling:
    """How intervals are drawn; without draws there are none."""

    draws: int = DRAWS
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Measured:
    """Figures by name, and the same in each draw (draws,)."""

    values: Mapping[str, float]
    drawn: Mapping[str, np.ndarray]

    def figures(self) -> dict[str, Any]:
        """The figures, and `interval_95` with the bounds of each, where there are draws."""
        if not self.drawn:
            return dict(self.values)
        return {**self.values, "interval_95": _bounds(self.drawn)}


def _bounds(drawn: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    return dict(zip(drawn, interval(np.column_stack(list(drawn.values()))).T.tolist(), strict=True))


def measure(
    away: np.ndarray,
    hits: Mapping[str, np.ndarray],
    radii_km: Sequence[float],
    clusters: np.ndarray,
    sampling: Sampling,
) -> Measured:
    """Quantiles and mean of the distances (n,), GeoScore, shares within the radii, and the share of each kind of hit.

    hits: 1, 0, or NaN where the truth is not known, (n,); such photos do not count. clusters: (n,) of each photo,
    whole numbers, any.
    """
    columns = {"mean_km": away, "geoscore": geoscores(away)}
    columns |= {f"within_{radius:g}_km": away <= radius for radius in radii_km}
    for name, hit in hits.items():
        columns |= {name: np.nan_to_num(hit), f"known_{name}": ~np.isnan(hit)}
    table = np.column_stack(list(columns.values())).astype(np.float64, copy=False)
    levels = list(QUANTILES.values())
    values = _named(columns, table.mean(axis=0)[None], np.quantile(away, levels)[None], hits)
    drawn = {}
    if sampling.draws:
        numbered = np.unique(clusters, return_inverse=True)[1]
        found = resample(table, numbered, away, levels, sampling.draws, sampling.seed, sampling.workers)
        drawn = _named(columns, *found, hits)
    return Measured({name: float(value[0]) for name, value in values.items()}, drawn)


def _named(
    columns: Mapping[str, Any], means: np.ndarray, quantiles: np.ndarray, hits: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Figures (draws,) by name; a hit's share is of the photos whose truth is known."""
    found = dict(zip(columns, means.T, strict=True))
    for name in hits:
        known = found.pop(f"known_{name}")
        found[name] = found[name] / np.maximum(known, 1e-300)
    return dict(zip(QUANTILES, quantiles.T, strict=True)) | found


def differences(first: Measured, second: Measured) -> dict[str, dict[str, Any]]:
    """first - second of each figure, with the interval of the difference in the same draws of photographers."""
    found = {name: {"difference": first.values[name] - second.values[name]} for name in first.values}
    for name in first.drawn:
        found[name]["interval_95"] = interval((first.drawn[name] - second.drawn[name])[:, None])[:, 0].tolist()
    return found


def by_group(
    names: pd.Series,
    away: np.ndarray,
    hits: Mapping[str, np.ndarray],
    radii_km: Sequence[float],
    clusters: np.ndarray,
    sampling: Sampling,
) -> dict[str, dict[str, Any]]:
    """Figures of the photos of each name, the most photos first, with n and the number of clusters.

    Photos without a name are in no group; a group of fewer than `FEWEST_CLUSTERS` clusters has no intervals.
    """
    codes, uniques = pd.factorize(names)
    order = np.argsort(codes, kind="stable")[(codes < 0).sum() :]
    sizes = np.bincount(codes[codes >= 0], minlength=len(uniques))
    groups = zip(uniques, np.split(order, np.cumsum(sizes)[:-1]), strict=True) if len(uniques) else ()
    found = {}
    for name, rows in sorted(groups, key=lambda group: (-len(group[1]), str(group[0]))):
        count = len(np.unique(clusters[rows]))
        draws = sampling if count >= FEWEST_CLUSTERS else Sampling(draws=0)
        known = {kind: hit[rows] for kind, hit in hits.items()}
        measured = measure(away[rows], known, radii_km, clusters[rows], draws)
        found[str(name)] = {"n": len(rows), "clusters": count, **measured.figures()}
    return found


def hit(predicted: pd.Series, true: pd.Series) -> np.ndarray:
    """1 where a predicted name is the true one, 0 where not, or where there is none; NaN where the truth is unknown."""
    same = (predicted.reset_index(drop=True) == true.reset_index(drop=True)).fillna(False).to_numpy(dtype=bool)
    return np.where(true.isna().to_numpy(), np.nan, same.astype(np.float64))


def score(
    truth: pd.DataFrame, readouts: Mapping[str, pd.DataFrame], radii_km: Sequence[float], seed: int
) -> dict[str, Any]:
    """Figures of each `predictions` table, which may have a country and a region; truth: photo_id, latitude, longitude,
    author, and where known country and region_id."""
    clusters = cluster_numbers(truth["author"])
    scored = {}
    for name, predictions in readouts.items():
        away = distances_km(truth, predictions)
        hits = _named_hits(truth, predictions)
        figures = measure(away, hits, radii_km, clusters, Sampling(seed=seed)).figures()
        missing = int((~truth["photo_id"].isin(predictions["photo_id"])).sum())
        scored[name] = figures | {"missing": missing, "clusters": int(clusters.max()) + 1}
        if "country" in truth:
            scored[name]["per_country"] = by_group(
                truth["country"], away, hits, radii_km, clusters, Sampling(seed=seed)
            )
    return scored


def score_some(
    truth: pd.DataFrame, readouts: Mapping[str, pd.DataFrame], radii_km: Sequence[float], rows: np.ndarray
) -> dict[str, Any]:
    """n, and the figures of each readout without intervals, of the photos in a mask (n,) of the truth."""
    some, alone = truth[rows].reset_index(drop=True), Sampling(draws=0)
    clusters = np.arange(len(some))
    found: dict[str, Any] = {"n": len(some)}
    for name, table in readouts.items():
        measured = measure(distances_km(some, table), _named_hits(some, table), radii_km, clusters, alone)
        found[name] = measured.figures()
    return found


def _named_hits(truth: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Whether the first answer's country and region are those of the truth, where both tables have them."""
    first = predictions[predictions["rank"] == 0].set_index("photo_id")
    return {
        f"{name}_accuracy": hit(first[name].reindex(truth["photo_id"]), truth[label])
        for name, label in (("country", "country"), ("region", "region_id"))
        if name in first and label in truth
    }
