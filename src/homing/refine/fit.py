"""What refinement leaves open, fitted on the validation photos: temperature, gate, width of the mode, weight of levels.

Each is chosen for itself, by the errors of the answers it leads to; where several do as well, the first on its list.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
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
GATES = 200  # thresholds tried, at equal shares of the photos


def loss(error_km: np.ndarray, objective: str) -> float:
    """`median`: the median error, km; `mean_log`: the mean of log(1 + km), which a few far misses do not rule."""
    return float(np.median(error_km) if objective == "median" else np.log1p(error_km).mean())


def errors_km(answers: Candidates, truth: np.ndarray) -> np.ndarray:
    """Distances (n,) of the first answers to the true places (n, 2): latitude, longitude."""
    return haversine_km(answers.latitude[:, 0], answers.longitude[:, 0], truth[:, 0], truth[:, 1])


def fit(
    settings: Mapping[str, Any],
    index: RefineIndex,
    vectors: np.ndarray,
    candidates: Candidates,
    truth: np.ndarray,
    neighbours: Neighbours,
    coarser: np.ndarray,
) -> dict[str, Any]:
    """The parameters of `settings` with those that are null chosen on the validation photos given, and their losses."""
    if not len(truth) and None in (settings[name] for name in FITTED):
        raise HomingError("refine: no validation photo to fit on; give temperature, gate_similarity, mode_radius_km "
                          "and hierarchy_weight in the configuration, or a larger splits.val_share")  # fmt: skip
    objective, furthest = settings["objective"], settings["max_move_km"]
    chosen: dict[str, Any] = {name: settings[name] for name in FITTED}

    def decide(name: str, values: Sequence[float], answer: Callable[[float], Candidates]) -> None:
        if chosen[name] is None:
            losses = [loss(errors_km(answer(value), truth), objective) for value in values]
            chosen[name] = values[int(np.argmin(losses))]
            log.info("%s %g: %s %.4g on %d photos", name, chosen[name], objective, min(losses), len(truth))

    decide("temperature", TEMPERATURES, lambda value: refine(index, vectors, candidates, value, furthest))
    refined = refine(index, vectors, candidates, chosen["temperature"], furthest)
    decide("mode_radius_km", MODE_RADII_KM, lambda value: mode_mean(refined, value))
    decide("hierarchy_weight", HIERARCHY_WEIGHTS, lambda value: hierarchical(refined, coarser, value))
    if chosen["gate_similarity"] is None:
        place = index.members[["latitude", "longitude"]].to_numpy()[neighbours.row]
        found_km = haversine_km(place[:, 0], place[:, 1], truth[:, 0], truth[:, 1])
        chosen["gate_similarity"] = fit_gate(neighbours.similarity, found_km, errors_km(refined, truth), objective)
        log.info("gate_similarity %g", chosen["gate_similarity"])
    return chosen | {"photos": len(truth)}


def fit_gate(similarity: np.ndarray, found_km: np.ndarray, otherwise_km: np.ndarray, objective: str) -> float:
    """The similarity from which on the most similar photo's place answers better, all told; above 1: never.

    similarity, found_km (error of that photo's place) and otherwise_km (n,). Never is the first that is tried.
    """
    never = float(np.nextafter(np.float32(max(1.0, similarity.max())), np.float32(2)))
    known = np.sort(similarity[np.isfinite(similarity)])[::-1]
    tried = [never, *known[:: max(1, len(known) // GATES)].tolist()]
    losses = [loss(np.where(similarity >= gate, found_km, otherwise_km), objective) for gate in tried]
    return tried[int(np.argmin(losses))]


def gated(candidates: Candidates, neighbours: Neighbours, index: RefineIndex, gate_similarity: float) -> Candidates:
    """The first of the candidates (n, k), or the most similar training photo where it is similar enough: (n, 1).

    The probability stays that of the first candidate.
    """
    first = candidates.best(1)
    is_open = (neighbours.similarity >= gate_similarity)[:, None]
    row = neighbours.row[:, None]
    cell_id = index.prototypes["cell_id"].to_numpy()[index.members["prototype"].to_numpy()[row]]
    latitude, longitude = (index.members[name].to_numpy()[row] for name in ("latitude", "longitude"))
    return Candidates(
        np.where(is_open, cell_id, first.cell_id), first.probability,
        np.where(is_open, latitude, first.latitude), np.where(is_open, longitude, first.longitude),
    )  # fmt: skip
