"""Scores of the eight auxiliary tasks, each against the best constant of the training photos.

Classes are scored by accuracy; values by the root mean squared error on the scale of training (transformed, in standard
deviations of the training photos), averaged over the columns of a task; latitude and longitude in km.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from homing.sphere import haversine_km
from homing.tasks import TASKS, LabelScales, Task

QUANTILES = 41  # constants tried for a coordinate, at equal steps from the minimum to the maximum


def score_tasks(truth: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return for each task its metric, score, baseline and whether it is better; None if no photo has a label.

    truth: labels, latitude and longitude of the photos; predicted: a `tasks` table; training: like truth, of the
    training photos, which the constants are fitted on.
    """
    rows = predicted.set_index("photo_id").reindex(truth["photo_id"]).reset_index()
    return {name: _score(task, truth, rows, training) for name, task in TASKS.items()}


def _score(task: Task, truth: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame) -> dict[str, Any]:
    if task.kind == "class":
        return _score_class(truth[task.name], predicted[task.name], training[task.name])
    if task.kind == "value":
        return _score_values(truth, predicted, training, task.columns)
    return _score_coordinate(truth, predicted[task.name], training, task.name)


def _entry(metric: str, value: float | None, baseline: float | None, n: int, higher: bool = False) -> dict[str, Any]:
    better = None if value is None or baseline is None else bool(value > baseline if higher else value < baseline)
    return {"metric": metric, metric: value, "baseline": baseline, "better": better, "n": n}


def _score_class(truth: pd.Series, predicted: pd.Series, training: pd.Series) -> dict[str, Any]:
    """Return the accuracy, with the most frequent class as the baseline."""
    known = truth.notna().to_numpy()
    if not known.any() or not training.notna().any():
        return _entry("accuracy", None, None, 0, higher=True)
    values = truth[known].to_numpy()
    hits = predicted.to_numpy()[known] == values
    most_frequent = training.mode().iloc[0]
    baseline = float((values == most_frequent).mean())
    return _entry("accuracy", float(hits.mean()), baseline, int(known.sum()), higher=True)


def _score_values(
    truth: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame, columns: Sequence[str]
) -> dict[str, Any]:
    """Return the root mean squared error, with the training mean as the baseline."""
    scales = LabelScales.fit(training)
    errors, baselines, count = [], [], 0
    for column in columns:
        known = truth[column].notna().to_numpy()
        if not known.any() or training[column].nunique() < 2:
            continue
        true, guess = (
            scales.standardise(column, frame[column].to_numpy(dtype=np.float64)[known]) for frame in (truth, predicted)
        )
        errors.append(np.sqrt(np.nanmean((guess - true) ** 2)))
        baselines.append(np.sqrt(np.mean(true**2)))  # the training mean is 0 on this scale
        count = max(count, int(known.sum()))
    if not errors:
        return _entry("rmse", None, None, 0)
    return _entry("rmse", float(np.mean(errors)), float(np.mean(baselines)), count)


def _score_coordinate(truth: pd.DataFrame, predicted: pd.Series, training: pd.DataFrame, axis: str) -> dict[str, Any]:
    """Return the mean error in km if one coordinate is predicted and the other is true; baseline: the best quantile."""
    quantiles = np.unique(np.quantile(training[axis], np.linspace(0, 1, QUANTILES)))
    constant = min(quantiles, key=lambda value: _distances_km(training, axis, value).mean())
    error_km, baseline_km = (
        float(np.nanmean(_distances_km(truth, axis, guess)))
        for guess in (predicted.to_numpy(dtype=np.float64), constant)
    )
    return _entry("mean_km", error_km, baseline_km, len(truth))


def _distances_km(places: pd.DataFrame, axis: str, guess: np.ndarray | float) -> np.ndarray:
    """Return the distance (n,) that places move if one of their coordinates is replaced by a guess."""
    latitude = guess if axis == "latitude" else places["latitude"]
    longitude = guess if axis == "longitude" else places["longitude"]
    return haversine_km(places["latitude"], places["longitude"], latitude, longitude)
