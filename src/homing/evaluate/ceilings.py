"""Oracles: the error if each stage of the method made its best choice, which shows the stage that limits accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from homing.evaluate.distances import FARTHEST_KM
from homing.evaluate.measures import Sampling, measure
from homing.sphere import chord_to_km, haversine_km, unit_vectors


@dataclass(frozen=True)
class Points:
    """Places within cells that refinement may answer with: prototypes or training photos. Arrays (m,)."""

    cell_id: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray


def nearest_km(latitude: np.ndarray, longitude: np.ndarray, cells: np.ndarray, points: Points) -> np.ndarray:
    """Return the distance (n, k) from each place (n,) to the nearest point in each of its cells (n, k).

    Infinite for cells without points. One k-d tree per cell is searched, so the cost is n log n.
    """
    found = np.full(cells.shape, np.inf)
    places, vectors = unit_vectors(latitude, longitude), unit_vectors(points.latitude, points.longitude)
    by_cell = np.argsort(cells, axis=None, kind="stable")
    order = np.argsort(points.cell_id, kind="stable")
    names, first = np.unique(points.cell_id[order], return_index=True)
    last = np.append(first[1:], len(order))
    start, stop = (np.searchsorted(cells.ravel()[by_cell], names, side=side) for side in ("left", "right"))
    for number in np.flatnonzero(stop > start):
        queries = by_cell[start[number] : stop[number]]
        tree = cKDTree(vectors[order[first[number] : last[number]]])
        found.ravel()[queries] = chord_to_km(tree.query(places[queries // cells.shape[1]])[0])
    return found


def oracle_errors(
    truth: np.ndarray, cells: np.ndarray, centroids: np.ndarray, true_cell: np.ndarray, points: Mapping[str, Points]
) -> dict[str, np.ndarray]:
    """Return the error (n,) of the best answer that each stage allows, by name.

    `first_cell` is the classifier's answer; `best_of_<k>_cells` the nearest of k centroids; `<point>_in_first_cell`,
    `_in_<k>_cells` and `_in_true_cell` the nearest point in those cells, half the Earth's circumference if the true
    cell has none.

    truth: (n, 2), latitude and longitude; cells: (n, k), the ranked cells; centroids: (n, k, 2); true_cell: (n,);
    points: by name, such as prototype and photo.
    """
    k = cells.shape[1]
    centroid_nk = haversine_km(truth[:, :1], truth[:, 1:], centroids[..., 0], centroids[..., 1])
    found = {"first_cell": centroid_nk[:, 0], f"best_of_{k}_cells": centroid_nk.min(axis=1)}
    for name, places in points.items():
        point_nk = nearest_km(truth[:, 0], truth[:, 1], np.column_stack([cells, true_cell]), places)
        # The answer of a cell without points is its centroid.
        within_nk = np.where(np.isinf(point_nk[:, :k]), centroid_nk, point_nk[:, :k])
        found[f"{name}_in_first_cell"] = within_nk[:, 0]
        found[f"{name}_in_{k}_cells"] = within_nk.min(axis=1)
        found[f"{name}_in_true_cell"] = np.minimum(point_nk[:, -1], FARTHEST_KM)
    return found


def ceilings(errors: Mapping[str, np.ndarray], radii_km: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Return the metrics of each oracle's errors (n,), without intervals."""
    no_draws = Sampling(draws=0)
    return {
        name: measure(error_km, {}, radii_km, np.arange(len(error_km)), no_draws).figures()
        for name, error_km in errors.items()
    }
