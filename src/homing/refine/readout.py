"""Readouts: rules that pick one place from a photo's candidates and their probabilities.

Each takes Candidates (n, k) and returns Candidates (n, 1). A place that is no candidate has the cell and the
probability of the nearest candidate.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.geoscore import relative_score
from homing.refine.search import Candidates
from homing.sphere import EARTH_RADIUS_KM, chord_to_km, from_vectors, unit_vectors

BLOCK = 4_096  # photos at a time: 52 MB of distances between 40 candidates
MAX_STEPS, TOLERANCE_KM = 100, 1e-3  # Weiszfeld's algorithm stops when no answer moves by more


def further_readouts(
    candidates: Candidates,
    parameters: Mapping[str, Any],
    coarser: Callable[[], np.ndarray],
    retrieve: Callable[[Candidates], Candidates],
) -> dict[str, Callable[[], Candidates]]:
    """Return the function that computes each further readout (`homing.readouts.FURTHER`) of refined candidates (n, k).

    parameters: mode_radius_km, score_radius_km and hierarchy_weight; coarser: returns what `nodes_above` does;
    retrieve: the retrieval readout. Both are called only if a returned function that needs them is called.
    """
    return {
        "mode": lambda: mode_mean(candidates, parameters["mode_radius_km"]),
        "score": lambda: best_score(candidates, parameters["score_radius_km"]),
        "median": lambda: median_point(candidates),
        "hierarchy": lambda: hierarchical(candidates, coarser(), parameters["hierarchy_weight"]),
        "retrieval": lambda: retrieve(candidates),
    }


def mode_mean(candidates: Candidates, radius_km: float) -> Candidates:
    """Return the spherical mean of the candidates within `radius_km` of the mode, weighted by probability.

    The mode is the candidate with the highest density of probability, by a Gaussian kernel with standard deviation
    `radius_km`. The mean of all candidates would lie between two likely places, where neither is.
    """

    def answer(weights: np.ndarray, points: np.ndarray, distance_nkk: np.ndarray) -> np.ndarray:
        density = np.einsum("nij,nj->ni", np.exp(-0.5 * (distance_nkk / radius_km) ** 2), weights)
        from_mode_nk = np.take_along_axis(distance_nkk, density.argmax(axis=1)[:, None, None], axis=1)[:, 0]
        return np.einsum("nk,nkd->nd", weights * (from_mode_nk <= radius_km), points)

    return _by_blocks(candidates, answer)


def best_score(candidates: Candidates, radius_km: float | None = None) -> Candidates:
    """Return the candidate with the highest expected GeoScore or, given `radius_km`, the most probability within it."""

    def answer(weights: np.ndarray, points: np.ndarray, distance_nkk: np.ndarray) -> np.ndarray:
        score_nkk = relative_score(distance_nkk) if radius_km is None else (distance_nkk <= radius_km).astype(float)
        return _points_at(points, np.einsum("nij,nj->ni", score_nkk, weights).argmax(axis=1))

    return _by_blocks(candidates, answer)


def median_point(candidates: Candidates) -> Candidates:
    """Return the geometric median on the sphere: the place with the smallest expected distance.

    Weiszfeld's algorithm in the tangent plane (Fletcher, Venkatasubramanian, Joshi 2009), started at the best
    candidate; the step of Vardi and Zhang (2000) when the iterate is at a candidate. The expected distance on a sphere
    can have several local minima: the answer is one of them, never worse than the best candidate.
    """

    def answer(weights: np.ndarray, points: np.ndarray, distance_nkk: np.ndarray) -> np.ndarray:
        best = np.einsum("nij,nj->ni", distance_nkk, weights).argmin(axis=1)
        return _weiszfeld(weights, points, _points_at(points, best))

    return _by_blocks(candidates, answer)


def hierarchical(candidates: Candidates, coarser: np.ndarray, weight: float) -> Candidates:
    """Return the candidate with the highest log p(cell) + `weight` x the sum of log p(node above it) over the levels.

    coarser: (levels, cells), from `nodes_above`. The probability of a node is the sum over its candidates. Raises
    HomingError if a candidate's cell is not in the hierarchy.
    """
    if len(candidates.cell_id) and candidates.cell_id.max() >= coarser.shape[1]:
        raise HomingError(
            f"predictions: cell {candidates.cell_id.max()} is not in the hierarchy of {coarser.shape[1]} cells; "
            "the geocells have changed, predict again"
        )
    best = [np.zeros((0, 1), dtype=np.int64)]
    for some in _blocks(candidates):
        with np.errstate(divide="ignore"):
            score = np.log(some.probability.astype(np.float64))
            for node_nk in coarser[:, some.cell_id]:
                same_node = node_nk[:, :, None] == node_nk[:, None, :]
                score += weight * np.log(np.einsum("nij,nj->ni", same_node, some.probability))
        best.append(score.argmax(axis=1)[:, None])
    return candidates.take(np.concatenate(best))


def nodes_above(hierarchy: pd.DataFrame) -> np.ndarray:
    """Return the node (levels - 1, cells) above each cell_id on each coarser level, the finest level first.

    hierarchy: a `hierarchy` table. Raises HomingError if the nodes of its last level are not the cell_ids 0, 1, ...
    """
    levels = sorted(hierarchy["level"].unique(), reverse=True)
    cells = hierarchy[hierarchy["level"] == levels[0]].sort_values("node")
    if not np.array_equal(cells["node"], np.arange(len(cells))):
        raise HomingError("hierarchy: the last level's nodes must be the cell_ids 0, 1, ...; make the geocells again")
    above = [cells["parent"].to_numpy(dtype=np.int64)]
    for level in levels[1:-1]:
        parent = hierarchy[hierarchy["level"] == level].set_index("node")["parent"]
        above.append(parent.loc[above[-1]].to_numpy(dtype=np.int64))
    return np.stack(above)


def _by_blocks(
    candidates: Candidates, answer: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> Candidates:
    """Return the places (n, 3) that `answer` computes, each with the cell and probability of the nearest candidate.

    answer: called with weights (n, k) that sum to 1, unit vectors (n, k, 3) and pairwise distances (n, k, k) in km.
    """
    found, nearest = [np.zeros((0, 3))], [np.zeros((0, 1), dtype=np.int64)]
    for some in _blocks(candidates):
        points = unit_vectors(some.latitude, some.longitude)
        weights = some.probability / np.maximum(some.probability.sum(axis=1, keepdims=True, dtype=np.float64), 1e-300)
        cosine_nkk = points @ points.swapaxes(1, 2)
        found.append(answer(weights, points, chord_to_km(np.sqrt(np.maximum(2 - 2 * cosine_nkk, 0)))))
        nearest.append(np.einsum("nkd,nd->nk", points, found[-1]).argmax(axis=1)[:, None])
    latitude, longitude = from_vectors(np.concatenate(found))
    candidate = candidates.take(np.concatenate(nearest))
    return Candidates(candidate.cell_id, candidate.probability, latitude[:, None], longitude[:, None])


def _blocks(candidates: Candidates) -> Iterator[Candidates]:
    for start in range(0, len(candidates.cell_id), BLOCK):
        yield candidates.rows(slice(start, start + BLOCK))


def _points_at(points: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return the point (n, 3) of each photo at `rank` (n,) of points (n, k, 3)."""
    return np.take_along_axis(points, rank[:, None, None], axis=1)[:, 0]


def _weiszfeld(weights: np.ndarray, points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the geometric medians (n, 3) of points (n, k, 3) with weights (n, k); start: (n, 3)."""
    at = start
    for _ in range(MAX_STEPS):
        tangent_nkd, angle_nk = _tangents(at, points)
        here = angle_nk < TOLERANCE_KM / EARTH_RADIUS_KM
        pull_nk = np.where(here, 0, weights / np.maximum(angle_nk, 1e-12))
        total = np.maximum(pull_nk.sum(axis=1), 1e-300)
        force = np.einsum("nk,nkd->nd", pull_nk, tangent_nkd)
        strength = np.maximum(np.linalg.norm(force, axis=1), 1e-300)
        damping = np.maximum(0, 1 - (weights * here).sum(axis=1) / strength)  # 0 if the candidate here is the median
        step = force * (damping / total)[:, None]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        at = np.cos(length) * at + np.sinc(length / np.pi) * step
        at /= np.linalg.norm(at, axis=1, keepdims=True)
        if length.max(initial=0) < TOLERANCE_KM / EARTH_RADIUS_KM:
            break
    better = _expected_angle(weights, points, at) < _expected_angle(weights, points, start)
    return np.where(better[:, None], at, start)


def _tangents(at: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return tangent vectors (n, k, 3) from `at` (n, 3) to points (n, k, 3), and the angles (n, k), their lengths."""
    across = points - np.einsum("nkd,nd->nk", points, at)[..., None] * at[:, None]
    sine, cosine = np.linalg.norm(across, axis=-1), np.einsum("nkd,nd->nk", points, at)
    angle = np.arctan2(sine, cosine)
    return across * (angle / np.maximum(sine, 1e-300))[..., None], angle


def _expected_angle(weights: np.ndarray, points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the expected angle (n,) between `at` (n, 3) and points (n, k, 3)."""
    return (weights * _tangents(at, points)[1]).sum(axis=1)
