"""One answer from a photo's candidates: rules that read a place out of a posterior over places.

Each takes Candidates (n, k) and gives Candidates (n, 1). A rule that makes a place of its own answers with the cell and
the probability of the candidate nearest to it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.refine.search import Candidates
from homing.sphere import EARTH_RADIUS_KM, chord_to_km, from_vectors, unit_vectors

BLOCK = 4_096  # photos at a time: 52 MB of distances between 40 candidates
GEOSCORE_KM = 1492.7  # GeoGuessr's scale of the world: a guess is worth 5000 exp(-distance / 1492.7 km)
STEPS, CLOSE_KM = 100, 1e-3  # of Weiszfeld's iteration: it ends when no answer moves by more


def mode_mean(candidates: Candidates, radius_km: float) -> Candidates:
    """The mean, on the sphere, of the candidates near the mode alone, weighted with their probabilities.

    The mode is the candidate with the most probability around it, seen through a Gaussian of width `radius_km`; near is
    what lies within `radius_km` of it. A mean of everything lies between two likely places, where neither is.
    """

    def answer(weights: np.ndarray, points: np.ndarray, apart_km: np.ndarray) -> np.ndarray:
        density = np.einsum("nij,nj->ni", np.exp(-0.5 * (apart_km / radius_km) ** 2), weights)
        from_mode = np.take_along_axis(apart_km, density.argmax(axis=1)[:, None, None], axis=1)[:, 0]
        return np.einsum("nk,nkd->nd", weights * (from_mode <= radius_km), points)

    return _by_blocks(candidates, answer)


def best_score(candidates: Candidates, radius_km: float | None = None) -> Candidates:
    """The candidate with the highest expected GeoScore, or the most probability within `radius_km` of it."""

    def answer(weights: np.ndarray, points: np.ndarray, apart_km: np.ndarray) -> np.ndarray:
        worth = np.exp(-apart_km / GEOSCORE_KM) if radius_km is None else (apart_km <= radius_km).astype(float)
        return _chosen(points, np.einsum("nij,nj->ni", worth, weights).argmax(axis=1))

    return _by_blocks(candidates, answer)


def median_point(candidates: Candidates) -> Candidates:
    """The geometric median on the sphere: the place with the least expected distance.

    Weiszfeld's iteration in the tangent plane (Fletcher, Venkatasubramanian, Joshi 2009), from the best candidate, with
    the step of Vardi and Zhang (2000) where the iteration stands on one. Distances on a sphere have other minima: the
    answer is never worse than the best candidate, but may be a local one.
    """

    def answer(weights: np.ndarray, points: np.ndarray, apart_km: np.ndarray) -> np.ndarray:
        return _weiszfeld(weights, points, _chosen(points, np.einsum("nij,nj->ni", apart_km, weights).argmin(axis=1)))

    return _by_blocks(candidates, answer)


def hierarchical(candidates: Candidates, coarser: np.ndarray, weight: float) -> Candidates:
    """The candidate with the highest log-probability of its cell plus `weight` x those of the nodes above it.

    coarser (levels, cells): what `nodes_above` gives. The probability of a node is that of its candidates together.
    """
    if len(candidates.cell_id) and candidates.cell_id.max() >= coarser.shape[1]:
        raise HomingError(
            f"predictions: cell {candidates.cell_id.max()} is not in the hierarchy of {coarser.shape[1]} cells; "
            "the geocells were made anew, predict again"
        )
    best = [np.zeros((0, 1), dtype=np.int64)]
    for some in _blocks(candidates):
        with np.errstate(divide="ignore"):
            score = np.log(some.probability.astype(np.float64))
            for node in coarser[:, some.cell_id]:
                together = np.einsum("nij,nj->ni", node[:, :, None] == node[:, None, :], some.probability)
                score += weight * np.log(together)
        best.append(score.argmax(axis=1)[:, None])
    return candidates.take(np.concatenate(best))


def nodes_above(hierarchy: pd.DataFrame) -> np.ndarray:
    """The node (levels - 1, cells) above each cell_id on each coarser level, the finest first, of table `hierarchy`."""
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
    """The places that `answer` gives for weights (n, k), unit vectors (n, k, 3) and distances (n, k, k) in km."""
    found, nearest = [np.zeros((0, 3))], [np.zeros((0, 1), dtype=np.int64)]
    for some in _blocks(candidates):
        points = unit_vectors(some.latitude, some.longitude)
        weights = some.probability / np.maximum(some.probability.sum(axis=1, keepdims=True, dtype=np.float64), 1e-300)
        cosine = points @ points.swapaxes(1, 2)
        found.append(answer(weights, points, chord_to_km(np.sqrt(np.maximum(2 - 2 * cosine, 0)))))
        nearest.append(np.einsum("nkd,nd->nk", points, found[-1]).argmax(axis=1)[:, None])
    latitude, longitude = from_vectors(np.concatenate(found))
    beside = candidates.take(np.concatenate(nearest))
    return Candidates(beside.cell_id, beside.probability, latitude[:, None], longitude[:, None])


def _blocks(candidates: Candidates) -> Iterator[Candidates]:
    for start in range(0, len(candidates.cell_id), BLOCK):
        yield candidates.rows(slice(start, start + BLOCK))


def _chosen(points: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The point (n, 3) of each photo that stands at `rank` (n,) of points (n, k, 3)."""
    return np.take_along_axis(points, rank[:, None, None], axis=1)[:, 0]


def _weiszfeld(weights: np.ndarray, points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The geometric medians (n, 3) of points (n, k, 3), from where they start (n, 3)."""
    at = start
    for _ in range(STEPS):
        towards, angle = _tangents(at, points)
        here = angle < CLOSE_KM / EARTH_RADIUS_KM
        pull = np.where(here, 0, weights / np.maximum(angle, 1e-12))
        total = np.maximum(pull.sum(axis=1), 1e-300)
        force = np.einsum("nk,nkd->nd", pull, towards)
        strength = np.maximum(np.linalg.norm(force, axis=1), 1e-300)
        loose = np.maximum(0, 1 - (weights * here).sum(axis=1) / strength)  # 0: the candidate here holds it
        step = force * (loose / total)[:, None]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        at = np.cos(length) * at + np.sinc(length / np.pi) * step
        at /= np.linalg.norm(at, axis=1, keepdims=True)
        if length.max(initial=0) < CLOSE_KM / EARTH_RADIUS_KM:
            break
    better = _expected(weights, points, at) < _expected(weights, points, start)
    return np.where(better[:, None], at, start)


def _tangents(at: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, k, 3) seen from `at` (n, 3): vectors in the tangent plane as long as the angle, and the angle."""
    across = points - np.einsum("nkd,nd->nk", points, at)[..., None] * at[:, None]
    sine, cosine = np.linalg.norm(across, axis=-1), np.einsum("nkd,nd->nk", points, at)
    angle = np.arctan2(sine, cosine)
    return across * (angle / np.maximum(sine, 1e-300))[..., None], angle


def _expected(weights: np.ndarray, points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The expected angle (n,) between `at` (n, 3) and points (n, k, 3)."""
    return (weights * _tangents(at, points)[1]).sum(axis=1)
