"""The eight auxiliary tasks, declared once, and the scales of their regression targets.

Training, prediction, evaluation, the tables and the report read names, columns, classes and transforms here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["class", "value", "coordinate"]
Transform = Callable[[np.ndarray], np.ndarray]

# Name -> the transform before a value is standardised, and its inverse.
TRANSFORMS: dict[str, tuple[Transform, Transform]] = {
    "linear": (lambda values: values, lambda values: values),
    "log": (lambda values: np.log1p(np.maximum(values, 0)), lambda values: np.maximum(np.expm1(values), 0)),
    "log_500": (lambda values: np.log(np.maximum(values, -499) + 500), lambda values: np.exp(values) - 500),
}


@dataclass(frozen=True)
class Task:
    """One auxiliary task.

    columns: its columns in the tables `labels` and `tasks` (a coordinate's true value stands in `photos`).
    classes: of a "class" task, whose labels are the integers from 1 to `classes`. transform: of a "value" task, a key
    of `TRANSFORMS`. title: for pages.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    title: str
    classes: int = 0
    transform: str = ""


_TEMPERATURES, _RAIN = ("temperature_c", "temperature_range_c"), ("precipitation_mm", "precipitation_range_mm")
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("climate", "class", ("climate",), "Climate (30 Köppen-Geiger classes)", classes=30),
        Task("month", "class", ("month",), "Month", classes=12),
        Task("temperature", "value", _TEMPERATURES, "Temperature", transform="linear"),
        Task("precipitation", "value", _RAIN, "Precipitation", transform="log"),
        Task("elevation", "value", ("elevation_m",), "Elevation", transform="log_500"),
        Task("population", "value", ("population_per_km2",), "Population density", transform="log"),
        Task("latitude", "coordinate", ("latitude",), "Latitude"),
        Task("longitude", "coordinate", ("longitude",), "Longitude"),
    )
}
CLASS_TASKS = tuple(name for name, task in TASKS.items() if task.kind == "class")
# Column -> its task, in the order of the regression head's outputs.
REGRESSIONS = {column: task for task in TASKS.values() if task.kind == "value" for column in task.columns}


@dataclass(frozen=True)
class LabelScales:
    """Mean and standard deviation of each transformed regression target, fitted on the training photos."""

    mean: dict[str, float]
    std: dict[str, float]

    @classmethod
    def fit(cls, labels: "pd.DataFrame") -> "LabelScales":
        """Fit to the labels of the training photos. A column without values gets mean 0 and standard deviation 1."""
        mean, std = {}, {}
        for column, task in REGRESSIONS.items():
            transform, _ = TRANSFORMS[task.transform]
            values = transform(labels[column].dropna().to_numpy(dtype=np.float64))
            mean[column] = float(values.mean()) if len(values) else 0.0
            std[column] = float(values.std()) if len(values) and values.std() > 1e-6 else 1.0
        return cls(mean, std)

    def standardise(self, column: str, values: np.ndarray) -> np.ndarray:
        """Return the standardised targets of values in their unit. NaN stays NaN."""
        transform, _ = TRANSFORMS[REGRESSIONS[column].transform]
        return (transform(values) - self.mean[column]) / self.std[column]

    def restore(self, column: str, targets: np.ndarray) -> np.ndarray:
        """Return the values, in their unit, of standardised targets."""
        _, inverse = TRANSFORMS[REGRESSIONS[column].transform]
        return inverse(targets * self.std[column] + self.mean[column])
