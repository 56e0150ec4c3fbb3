"""From the classifier's best cells to a place: the best prototype of each, there the most similar photo."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from homing.refine.index import RefineIndex
from homing.sphere import haversine_km

BLOCK = 8_192  # photos refined at a time; what is read of the index serves all of them


@dataclass(frozen=True)
class Candidates:
    """For each of n photos its k best cells, best first; all arrays (n, k). cell_id -1 stands for no candidate."""

    cell_id: np.ndarray
    probability: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray

    def take(self, order: np.ndarray) -> "Candidates":
        """The candidates of each photo in another order, (n, j) of positions."""
        return Candidates(*(np.take_along_axis(getattr(self, name), order, axis=1) for name in self.__annotations__))

    def best(self, count: int) -> "Candidates":
        """The first `count` candidates of each photo, or as many as there are."""
        return Candidates(*(getattr(self, name)[:, :count] for name in self.__annotations__))

    def rows(self, which: slice | np.ndarray) -> "Candidates":
        """The candidates of some photos."""
        return Candidates(*(getattr(self, name)[which] for name in self.__annotations__))


def refine(
    index: RefineIndex,
    vectors: np.ndarray,
    candidates: Candidates,
    temperature: float,
    max_move_km: float | None = None,
) -> Candidates:
    """Candidates placed and ranked anew, by the embeddings (n, d) of their photos.

    A prototype's score is the log-probability of its cell plus the log-softmax of -distance / temperature over all
    prototypes of the candidate cells, distances between vectors of length 1. Each cell answers with its best prototype,
    and there with the training photo most similar to the query. A cell without prototypes keeps its centroid, and
    scores as a prototype at the median distance. Where the new first answer lies more than `max_move_km` from the
    classifier's, the photo keeps the classifier's candidates. The probability of the k cells together is unchanged.
    """
    blocks = []
    with threadpool_limits(1, user_api="blas"):  # products so small are slower on several threads
        for start in range(0, max(len(vectors), 1), BLOCK):
            some = candidates.rows(slice(start, start + BLOCK))
            blocks.append(_refine_block(index, index.comparable(vectors[start : start + BLOCK]), some, temperature))
    moved = Candidates(
        *(np.concatenate([getattr(block, name) for block in blocks]) for name in Candidates.__annotations__)
    )
    return moved if max_move_km is None else _refuse_far(candidates, moved, max_move_km)


def _refine_block(index: RefineIndex, vectors: np.ndarray, candidates: Candidates, temperature: float) -> Candidates:
    prototype, away = _nearest_prototypes(index, vectors, candidates.cell_id)
    member = _nearest_members(index, vectors, prototype)
    places = index.members[["latitude", "longitude"]].to_numpy()[member]  # of any member where there is none
    latitude, longitude = np.where(
        prototype >= 0, np.moveaxis(places, -1, 0), [candidates.latitude, candidates.longitude]
    )
    with np.errstate(divide="ignore"):  # the softmax's sum is the same for all of a photo's prototypes
        scores = np.log(candidates.probability) - away / temperature
    moved = Candidates(candidates.cell_id, share(scores, candidates.probability.sum(axis=1)), latitude, longitude)
    return moved.take(np.argsort(-scores, axis=1, kind="stable"))


def _nearest_prototypes(index: RefineIndex, vectors: np.ndarray, cell_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number (n, k) of each cell's nearest prototype, and its distance; -1 and the photo's median without one."""
    known = index.prototypes["cell_id"].to_numpy()
    number, nearest = np.full(cell_id.shape, -1), np.zeros(cell_id.shape)
    alone = ~np.isin(cell_id, known)
    partly = alone.any(axis=1)
    seen: list[pd.DataFrame] = []
    for cell, photos, ranks in pairs(np.where(alone, -1, cell_id)):
        start, end = np.searchsorted(known, [cell, cell + 1])
        away = distances(vectors[photos], index.prototype_vectors[start:end])
        best = away.argmin(axis=1)
        number[photos, ranks], nearest[photos, ranks] = start + best, away[np.arange(len(photos)), best]
        asked = np.flatnonzero(partly[photos])
        seen.append(pd.DataFrame({"photo": np.repeat(photos[asked], end - start), "away": away[asked].ravel()}))
    if seen:
        typical = pd.concat(seen).groupby("photo")["away"].median().reindex(range(len(vectors)), fill_value=0.0)
        nearest = np.where(alone, typical.to_numpy()[:, None], nearest)
    return number, nearest


def _nearest_members(index: RefineIndex, vectors: np.ndarray, prototype: np.ndarray) -> np.ndarray:
    """The row (n, k) of the most similar training photo in each prototype; any where the prototype is -1."""
    starts = np.append(0, np.cumsum(index.prototypes["photos"]))
    member = starts[np.maximum(prototype, 0)]
    several = np.diff(starts)[np.maximum(prototype, 0)] > 1
    for number, photos, ranks in pairs(np.where(several, prototype, -1)):
        start, end = starts[number : number + 2]
        member[photos, ranks] = start + distances(vectors[photos], index.member_vectors[start:end]).argmin(axis=1)
    return member


def pairs(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each number of (n, k) but -1, with the rows and the columns where it stands."""
    flat = numbers.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 0) :]
    values, first = np.unique(flat[order], return_index=True)
    for value, positions in zip(values.tolist(), np.split(order, first[1:]), strict=False):
        yield value, *np.divmod(positions, numbers.shape[1])


def distances(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, m) of vectors (n, d), float32, to others (m, d), float16."""
    others = others.astype(np.float32)
    lengths = np.einsum("nd,nd->n", vectors, vectors)[:, None] + np.einsum("md,md->m", others, others)
    return np.sqrt(np.maximum(lengths - 2 * vectors @ others.T, 0))


def share(scores: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Softmax (n, k) of scores, in log space, scaled to sum to `total` (n,); a photo without candidates gets zeros."""
    top = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300) * total[:, None]


def _refuse_far(before: Candidates, after: Candidates, max_move_km: float) -> Candidates:
    away = haversine_km(before.latitude[:, 0], before.longitude[:, 0], after.latitude[:, 0], after.longitude[:, 0])
    keep = (away > max_move_km)[:, None]
    return Candidates(
        *(np.where(keep, getattr(before, name), getattr(after, name)) for name in Candidates.__annotations__)
    )
