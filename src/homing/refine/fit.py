"""What refinement leaves open, fitted on the validation photos: temperature, gate, width of the mode, weight of levels.

Each is chosen for itself, by the errors of the answers it leads to; where several do as well, the first on its list.
What is the best of many on a few hundred photos often gains a little that further photos do not confirm. Refinement,
which everything after it starts from, must therefore gain for sure on doing without; gate and weights of levels, each
of one readout among others, by as much as one standard error.
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
STAY_KM = 0.0  # max_move_km that keeps the classifier's candidates
DRAWS, SURE, LIKELY = 1000, 0.975, 0.84  # shares of the draws that must gain: the 95 % interval, one standard error


def loss(error_km: np.ndarray, objective: str) -> float:
    """`median`: the median error, km; `mean_log`: the mean of log(1 + km), which a few far misses do not rule."""
    return float(np.median(error_km) if objective == "median" else np.log1p(error_km).mean())


def errors_km(answers: Candidates, truth: np.ndarray) -> np.ndarray:
    """Distances (n,) of the first answers to the true places (n, 2): latitude, longitude."""
    return haversine_km(answers.latitude[:, 0], answers.longitude[:, 0], truth[:, 0], truth[:, 1])


def is_clear_gain(
    error_km: np.ndarray, otherwise_km: np.ndarray, objective: str, authors: np.ndarray, share: float
) -> bool:
    """Whether errors (n,) are less than others of the same photos by more than chance: in that share of the draws.

    Draws are of photographers, with replacement; authors: (n,) their numbers, a photo of -1 is by itself.
    """
    groups = np.unique(np.where(authors < 0, -1 - np.arange(len(authors)), authors), return_inverse=True)[1]
    count, rng = groups.max(initial=-1) + 1, np.random.default_rng(0)
    better = 0
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        rows = np.repeat(np.arange(len(groups)), times[groups])
        better += loss(error_km[rows], objective) < loss(otherwise_km[rows], objective)
    return bool(better >= share * DRAWS)


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
    """The parameters of `settings` with those that are null chosen on the validation photos given.

    `max_move_km` is that of the settings, or `STAY_KM` where no temperature gains clearly on the classifier's answers.
    authors: (n,) numbers of the photos' photographers, -1 where unknown.
    """
    if not len(truth) and None in (settings[name] for name in FITTED):
        raise HomingError("refine: no validation photo to fit on; give temperature, gate_similarity, mode_radius_km "
                          "and hierarchy_weight in the configuration, or a larger splits.val_share")  # fmt: skip
    objective = settings["objective"]
    chosen: dict[str, Any] = {name: settings[name] for name in (*FITTED, "max_move_km")}

    def best(values: Sequence[float], answer: Callable[[float], Candidates]) -> float:
        losses = [loss(errors_km(answer(value), truth), objective) for value in values]
        return values[int(np.argmin(losses))]

    def refined_at(temperature: float) -> Candidates:
        return refine(index, vectors, candidates, temperature, settings["max_move_km"])

    def gains(answers: Candidates, otherwise: Candidates, share: float) -> bool:
        return is_clear_gain(errors_km(answers, truth), errors_km(otherwise, truth), objective, authors, share)

    if settings["temperature"] is None:
        chosen["temperature"] = best(TEMPERATURES, refined_at)
        if not gains(refined_at(chosen["temperature"]), candidates, SURE):
            chosen["max_move_km"] = STAY_KM
    refined = refine(index, vectors, candidates, chosen["temperature"], chosen["max_move_km"])
    if settings["mode_radius_km"] is None:
        chosen["mode_radius_km"] = best(MODE_RADII_KM, lambda value: mode_mean(refined, value))
    if settings["hierarchy_weight"] is None:
        weight = best(HIERARCHY_WEIGHTS, lambda value: hierarchical(refined, coarser, value))
        chosen["hierarchy_weight"] = weight if gains(hierarchical(refined, coarser, weight), refined, LIKELY) else 0.0
    if settings["gate_similarity"] is None:
        place = index.members[["latitude", "longitude"]].to_numpy()[neighbours.row]
        found_km = haversine_km(place[:, 0], place[:, 1], truth[:, 0], truth[:, 1])
        otherwise_km = errors_km(refined, truth)
        chosen["gate_similarity"] = fit_gate(neighbours.similarity, found_km, otherwise_km, objective, authors)
    log.info("fitted on %d photos: %s", len(truth), chosen)
    answers = {"classifier": candidates, "refined": refined} if len(truth) else {}
    losses = {name: loss(errors_km(one, truth), objective) for name, one in answers.items()}
    return chosen | {"photos": len(truth), objective: losses}


def fit_gate(
    similarity: np.ndarray, found_km: np.ndarray, otherwise_km: np.ndarray, objective: str, authors: np.ndarray
) -> float:
    """The similarity from which on the most similar photo's place answers better, all told; above 1: never.

    similarity, found_km (error of that photo's place), otherwise_km and authors (n,). Never, where no gain is clear.
    """
    never = float(np.nextafter(np.float32(max(1.0, similarity.max())), np.float32(2)))
    known = np.sort(similarity[np.isfinite(similarity)])[::-1]
    tried = [never, *known[:: max(1, len(known) // GATES)].tolist()]
    errors = [np.where(similarity >= gate, found_km, otherwise_km) for gate in tried]
    best = int(np.argmin([loss(error_km, objective) for error_km in errors]))
    return tried[best] if is_clear_gain(errors[best], otherwise_km, objective, authors, LIKELY) else never


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
