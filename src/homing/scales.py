"""The regression targets: their transforms and their scale, shared by training, prediction and evaluation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# Column of the labels -> its transform before standardising, and the task it belongs to.
REGRESSIONS = {
    "temperature_c": ("linear", "temperature"),
    "temperature_range_c": ("linear", "temperature"),
    "precipitation_mm": ("log", "precipitation"),
    "precipitation_range_mm": ("log", "precipitation"),
    "elevation_m": ("log_500", "elevation"),
    "population_per_km2": ("log", "population"),
}
TRANSFORMS = {
    "linear": (lambda values: values, lambda values: values),
    "log": (lambda values: np.log1p(np.maximum(values, 0)), lambda values: np.maximum(np.expm1(values), 0)),
    "log_500": (lambda values: np.log(np.maximum(values, -499) + 500), lambda values: np.exp(values) - 500),
}


@dataclass(frozen=True)
class LabelScales:
    """Mean and standard deviation of each transformed regression target, fitted on the training photos."""

    mean: dict[str, float]
    std: dict[str, float]

    @classmethod
    def fit(cls, labels: "pd.DataFrame") -> "LabelScales":
        """Fit on the labels of the training photos; a column without values gets mean 0 and deviation 1."""
        mean, std = {}, {}
        for column, (transform, _) in REGRESSIONS.items():
            values = TRANSFORMS[transform][0](labels[column].dropna().to_numpy(dtype=np.float64))
            mean[column] = float(values.mean()) if len(values) else 0.0
            std[column] = float(values.std()) if len(values) and values.std() > 1e-6 else 1.0
        return cls(mean, std)

    def standardise(self, column: str, values: np.ndarray) -> np.ndarray:
        """Values in their unit to standardised targets; NaN stays NaN."""
        return (TRANSFORMS[REGRESSIONS[column][0]][0](values) - self.mean[column]) / self.std[column]

    def restore(self, column: str, targets: np.ndarray) -> np.ndarray:
        """Standardised targets back to values in their unit."""
        return TRANSFORMS[REGRESSIONS[column][0]][1](targets * self.std[column] + self.mean[column])
