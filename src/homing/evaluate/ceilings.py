"""What each stage could reach at best, so that one sees which of them binds: oracles on the way to the answer."""

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
    """Places within cells that an answer may be moved to: prototypes, or training photos. Arrays (m,)."""

    cell_id: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray


def nearest_km(latitude: np.ndarray, longitude: np.ndarray, cells: np.ndarray, points: Points) -> np.ndarray:
    """Distance (n, k) from each place (n,) to the nearest point within each of its cells (n, k); infinite without one.

    A k-d tree per cell, so that points times their logarithm is what it costs.
    """
    found = np.full(cells.shape, np.inf)
    place, vectors = unit_vectors(latitude, longitude), unit_vectors(points.latitude, points.longitude)
    wanted = np.argsort(cells, axis=None, kind="stable")
    order = np.argsort(points.cell_id, kind="stable")
    names, first = np.unique(points.cell_id[order], return_index=True)
    last = np.append(first[1:], len(order))
    start, stop = (np.searchsorted(cells.ravel()[wanted], names, side=side) for side in ("left", "right"))
    for number in np.flatnonzero(stop > start):
        asked = wanted[start[number] : stop[number]]
        tree = cKDTree(vectors[order[first[number] : last[number]]])
        found.ravel()[asked] = chord_to_km(tree.query(place[asked // cells.shape[1]])[0])
    return found


def stages(
    truth: np.ndarray, cells: np.ndarray, middles: np.ndarray, true_cell: np.ndarray, points: Mapping[str, Points]
) -> dict[str, np.ndarray]:
    """Distances (n,) of the best answer that each stage allows, by name.

    truth: (n, 2) latitude and longitude; cells: (n, k) the ranked cells of each photo, middles: (n, k, 2) of them;
    true_cell: (n,) the cell that holds the photo; points: by name, as prototype and photo.
    `first_cell` is the classifier's answer; `best_of_<k>_cells` the nearest middle of them; `<point>_in_first_cell`,
    `_in_<k>_cells` and `_in_true_cell` the nearest point in those; half the globe away where the true cell has none.
    """
    kept = cells.shape[1]
    away = haversine_km(truth[:, :1], truth[:, 1:], middles[..., 0], middles[..., 1])
    found = {"first_cell": away[:, 0], f"best_of_{kept}_cells": away.min(axis=1)}
    for name, places in points.items():
        reached = nearest_km(truth[:, 0], truth[:, 1], np.column_stack([cells, true_cell]), places)
        within = np.where(np.isinf(reached[:, :kept]), away, reached[:, :kept])  # an empty cell answers its middle
        found[f"{name}_in_first_cell"] = within[:, 0]
        found[f"{name}_in_{kept}_cells"] = within.min(axis=1)
        found[f"{name}_in_true_cell"] = np.minimum(reached[:, -1], FARTHEST_KM)
    return found


def ceilings(reached: Mapping[str, np.ndarray], radii_km: Sequence[float]) -> dict[str, dict[str, Any]]:
    """The figures of each stage's distances, without intervals."""
    alone = Sampling(draws=0)
    return {name: measure(away, {}, radii_km, np.arange(len(away)), alone).figures() for name, away in reached.items()}
