"""Countries or regions as answers: probabilities summed over cells, and one place for all photos of a country."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from homing.confidence.regions import smallest_region
from homing.errors import HomingError
from homing.package.layout import ANSWERS
from homing.package.places import REGIONS
from homing.sphere import from_vectors, unit_vectors

LEVELS = {"country": ["country", "country_name"], "region": ["country", "country_name", "region"]}


def require_level(level: str, finest: str) -> None:
    """Raise HomingError if `level` is finer than the `finest` answers of a package."""
    if ANSWERS.index(level) < ANSWERS.index(finest):
        wanted = "places" if level == "exact" else "regions"
        raise HomingError(
            f"this package does not answer {wanted}: it was exported with --answers {finest}; ask with "
            f"--coarse {finest}" + (" or country" if finest == "region" else "")
        )


@dataclass(frozen=True)
class CoarsePlaces:
    """Countries or regions, and the number of the one that each cell (C,) belongs to."""

    places: pd.DataFrame  # country, country_name (and region), latitude, longitude, area_km2
    number: np.ndarray

    @classmethod
    def from_cells(cls, cells: pd.DataFrame, level: str) -> "CoarsePlaces":
        """Group cells into the places of a level, each at the mean of its cells, weighted by photos, to 0.1 degrees."""
        weight = cells["photos"].clip(lower=1).to_numpy()[:, None]
        weighted = unit_vectors(cells["latitude"], cells["longitude"]) * weight
        grouped = cells.groupby(LEVELS[level], dropna=False, sort=True)
        number = grouped.ngroup().to_numpy()
        sums = np.zeros((grouped.ngroups, 3))
        np.add.at(sums, number, weighted)
        latitude, longitude = from_vectors(sums)
        places = grouped["area_km2"].sum().reset_index()
        return cls(places.assign(latitude=latitude.round(1), longitude=longitude.round(1)), number)

    def predict(self, probability: np.ndarray, top: int) -> pd.DataFrame:
        """Return the `top` places of photos 0..n-1 from cell probabilities (n, C), a row each.

        Columns: photo, rank, names, latitude, longitude, probability, areas of the regions.
        """
        summed = np.zeros((len(probability), len(self.places)))
        np.add.at(summed.T, self.number, probability.T.astype(np.float64))
        order = np.argsort(-summed, axis=1, kind="stable")[:, :top]
        photos, ranks = order.shape
        table = self.places.drop(columns="area_km2").iloc[order.ravel()].reset_index(drop=True)
        table.insert(0, "photo", np.repeat(np.arange(photos), ranks))
        table.insert(1, "rank", np.tile(np.arange(ranks), photos))
        table["probability"] = np.take_along_axis(summed, order, axis=1).ravel()
        for name, level in REGIONS.items():
            table[name] = np.repeat(smallest_region(summed, level) @ self.places["area_km2"].to_numpy(), ranks)
        return table
