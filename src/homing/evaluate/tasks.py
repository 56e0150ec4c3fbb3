"""The eight auxiliary tasks, each against the best constant of the training photos.

Classes are scored by accuracy; values by the root mean squared error of the scale they are trained on (transformed,
in standard deviations of the training photos), the mean of a task's columns; latitude and longitude in km.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from homing.sphere import haversine_km
from homing.tasks import TASKS, LabelScales, Task


def score_tasks(truth: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Per task its metric, score, baseline and whether it is better; null where no photo has a label.

    truth: the photos' labels with latitude and longitude; predicted: a `tasks` table; training: like truth, of the
    training photos, which give the constants.
    """
    rows = predicted.set_index("photo_id").reindex(truth["photo_id"]).reset_index()
    return {name: _score(task, truth, rows, training) for name, task in TASKS.items()}


def _score(task: Task, truth: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame) -> dict[str, Any]:
    if task.kind == "class":
        return _classes(truth[task.name], predicted[task.name], training[task.name])
    if task.kind == "value":
        return _values(truth, predicted, training, task.columns)
    return _coordinate(truth, predicted[task.name], training, task.name)


def _entry(metric: str, value: float | None, baseline: float | None, n: int, higher: bool = False) -> dict[str, Any]:
    better = None if value is None or baseline is None else bool(value > baseline if higher else value < baseline)
    return {"metric": metric, metric: value, "baseline": baseline, "better": better, "n": n}


def _classes(truth: pd.Series, predicted: pd.Series, training: pd.Series) -> dict[str, Any]:
    known = truth.notna().to_numpy()
    if not known.any() or not training.notna().any():
        return _entry("accuracy", None, None, 0, higher=True)
    values = truth[known].to_numpy()
    hits = predicted.to_numpy()[known] == values
    commonest = training.mode().iloc[0]
    return _entry("accuracy", float(hits.mean()), float((values == commonest).mean()), int(known.sum()), higher=True)


def _values(
    truth: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame, columns: Sequence[str]
) -> dict[str, Any]:
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
        baselines.append(np.sqrt(np.mean(true**2)))  # the mean of the training photos is 0 on this scale
        count = max(count, int(known.sum()))
    if not errors:
        return _entry("rmse", None, None, 0)
    return _entry("rmse", float(np.mean(errors)), float(np.mean(baselines)), count)


def _coordinate(truth: pd.DataFrame, predicted: pd.Series, training: pd.DataFrame, axis: str) -> dict[str, Any]:
    """Mean distance in km when one coordinate is the predicted one and the other the true one."""

    def away(guess: np.ndarray | float) -> float:
        latitude = guess if axis == "latitude" else truth["latitude"]
        longitude = guess if axis == "longitude" else truth["longitude"]
        return float(np.nanmean(haversine_km(truth["latitude"], truth["longitude"], latitude, longitude)))

    tried = np.unique(np.quantile(training[axis], np.linspace(0, 1, 41)))
    constant = min(tried, key=lambda value: _spread(training, axis, value))
    return _entry("mean_km", away(predicted.to_numpy(dtype=np.float64)), away(constant), len(truth))


def _spread(training: pd.DataFrame, axis: str, value: float) -> float:
    latitude = value if axis == "latitude" else training["latitude"]
    longitude = value if axis == "longitude" else training["longitude"]
    return float(haversine_km(training["latitude"], training["longitude"], latitude, longitude).mean())
