"""Fitting of the parameters of refinement on validation photos: temperature, gate, mode radius, hierarchy weight.

Each parameter is chosen by the errors of the answers it leads to, from a short list; ties go to the first value. The
best of many values on a few hundred photos often gains a little that other photos do not confirm. So refinement, which
all further readouts start from, is used only if its gain is significant (95 % interval); the gate and the hierarchy
weight, each of one readout among others, only if they gain by one standard error.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homing.errors import HomingError
from homing.refine.index import RefineIndex
from homing.refine.readout import hierarchical, mode_mean
from homing.refine.retrieve import Neighbours
from homing.refine.search import Candidates, refine
from homing.sphere import haversine_km

log = logging.getLogger(__name__)

TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # of distances in 0..2
MODE_RADII_KM = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
HIERARCHY_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
FITTED = ("temperature", "mode_radius_km", "hierarchy_weight", "gate_similarity")
GATES = 200  # thresholds tried, at quantiles of the similarities
STAY_KM = 0.0  # max_move_km with which the classifier's candidates are kept
DRAWS = 1000  # of the bootstrap
SURE, LIKELY = 0.975, 0.84  # share of the draws that must gain: the 95 % interval, one standard error


def loss(error_km: np.ndarray, objective: str) -> float:
    """Return the median error in km (`median`), or the mean of log(1 + error in km), which is robust (`mean_log`)."""
    return float(np.median(error_km) if objective == "median" else np.log1p(error_km).mean())


def errors_km(answers: Candidates, truth: np.ndarray) -> np.ndarray:
    """Return the distance (n,) of each first answer from the true latitude and longitude (n, 2)."""
    return haversine_km(answers.latitude[:, 0], answers.longitude[:, 0], truth[:, 0], truth[:, 1])


def is_clear_gain(
    error_km: np.ndarray, baseline_km: np.ndarray, objective: str, authors: np.ndarray, share: float
) -> bool:
    """Return True if errors (n,) have a smaller loss than baseline errors (n,) in `share` of the bootstrap draws.

    Draws resample photographers with replacement. authors: (n,), their numbers; each photo of -1 is a cluster.
    """
    clusters = np.unique(np.where(authors < 0, -1 - np.arange(len(authors)), authors), return_inverse=True)[1]
    count, rng = clusters.max(initial=-1) + 1, np.random.default_rng(0)
    better = 0
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        rows = np.repeat(np.arange(len(clusters)), times[clusters])
        better += loss(error_km[rows], objective) < loss(baseline_km[rows], objective)
    return bool(better >= share * DRAWS)


@dataclass(frozen=True)
class _Selection:
    """Choice among parameter values by the loss on validation photos. truth: (n, 2); authors: (n,)."""

    truth: np.ndarray
    authors: np.ndarray
    objective: str

    def loss(self, answers: Candidates) -> float:
        return loss(errors_km(answers, self.truth), self.objective)

    def best(self, values: Sequence[float], answer: Callable[[float], Candidates]) -> float:
        """Return the value with the smallest loss of its answers."""
        return values[int(np.argmin([self.loss(answer(value)) for value in values]))]

    def gains(self, answers: Candidates, baseline: Candidates, share: float) -> bool:
        """Return True if `answers` are clearly better than `baseline`."""
        errors, baseline_errors = errors_km(answers, self.truth), errors_km(baseline, self.truth)
        return is_clear_gain(errors, baseline_errors, self.objective, self.authors, share)


def fit(
    settings: Mapping[str, Any],
    index: RefineIndex,
    vectors: np.ndarray,
    candidates: Candidates,
    truth: np.ndarray,
    neighbours: Neighbours,
    coarser: np.ndarray,
    authors: np.ndarray,
) -> dict[str, Any]:
    """Return the parameters in `settings`, with those that are null fitted on the validation photos given.

    `max_move_km` is that of the settings, or `STAY_KM` if no temperature gains clearly on the classifier's answers.
    vectors: (n, d); candidates: (n, k), the classifier's; truth: (n, 2), latitude and longitude; neighbours: (n,);
    coarser: (levels, cells), from `nodes_above`; authors: (n,), numbers of the photographers, -1 if unknown. Raises
    HomingError if there is something to fit and no photo.
    """
    if not len(truth) and None in (settings[name] for name in FITTED):
        raise HomingError("refine: no validation photo to fit on; give temperature, gate_similarity, mode_radius_km "
                          "and hierarchy_weight in the configuration, or a larger splits.val_share")  # fmt: skip
    selection = _Selection(truth, authors, settings["objective"])
    chosen: dict[str, Any] = {name: settings[name] for name in (*FITTED, "max_move_km")}

    def refined_at(temperature: float) -> Candidates:
        return refine(index, vectors, candidates, temperature, settings["max_move_km"])

    if settings["temperature"] is None:
        chosen["temperature"] = selection.best(TEMPERATURES, refined_at)
        if not selection.gains(refined_at(chosen["temperature"]), candidates, SURE):
            chosen["max_move_km"] = STAY_KM
    refined = refine(index, vectors, candidates, chosen["temperature"], chosen["max_move_km"])
    if settings["mode_radius_km"] is None:
        chosen["mode_radius_km"] = selection.best(MODE_RADII_KM, lambda radius: mode_mean(refined, radius))
    if settings["hierarchy_weight"] is None:
        chosen["hierarchy_weight"] = _fit_hierarchy_weight(selection, refined, coarser)
    if settings["gate_similarity"] is None:
        chosen["gate_similarity"] = _fit_gate_of(selection, refined, index, neighbours)
    log.info("fitted on %d photos: %s", len(truth), chosen)
    answers = {"classifier": candidates, "refined": refined} if len(truth) else {}
    losses = {name: selection.loss(found) for name, found in answers.items()}
    return chosen | {"photos": len(truth), settings["objective"]: losses}


def _fit_hierarchy_weight(selection: _Selection, refined: Candidates, coarser: np.ndarray) -> float:
    weight = selection.best(HIERARCHY_WEIGHTS, lambda value: hierarchical(refined, coarser, value))
    return weight if selection.gains(hierarchical(refined, coarser, weight), refined, LIKELY) else 0.0


def _fit_gate_of(selection: _Selection, refined: Candidates, index: RefineIndex, neighbours: Neighbours) -> float:
    place = index.members[["latitude", "longitude"]].to_numpy()[neighbours.row]
    neighbour_km = haversine_km(place[:, 0], place[:, 1], selection.truth[:, 0], selection.truth[:, 1])
    refined_km = errors_km(refined, selection.truth)
    return fit_gate(neighbours.similarity, neighbour_km, refined_km, selection.objective, selection.authors)


def fit_gate(
    similarity: np.ndarray, neighbour_km: np.ndarray, refined_km: np.ndarray, objective: str, authors: np.ndarray
) -> float:
    """Return the similarity from which the nearest neighbour's place is the better answer; above 1 if it never is.

    similarity: (n,), of the nearest neighbour; neighbour_km, refined_km: (n,), errors of its place and of the refined
    answer; authors: (n,). The gate stays shut if no gain is clear.
    """
    never = float(np.nextafter(np.float32(max(1.0, similarity.max())), np.float32(2)))
    known = np.sort(similarity[np.isfinite(similarity)])[::-1]
    tried = [never, *known[:: max(1, len(known) // GATES)].tolist()]
    errors = [np.where(similarity >= gate, neighbour_km, refined_km) for gate in tried]
    best = int(np.argmin([loss(error_km, objective) for error_km in errors]))
    return tried[best] if is_clear_gain(errors[best], refined_km, objective, authors, LIKELY) else never
