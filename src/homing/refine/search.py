"""Refinement of the classifier's best cells: the nearest prototype of each, and its most similar training photo."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from homing.refine.index import RefineIndex
from homing.sphere import haversine_km

BLOCK = 8_192  # photos refined at a time; the vectors of a cell are read once per block


@dataclass(frozen=True)
class Candidates:
    """The k best cells of n photos, best first; all arrays (n, k). cell_id -1 means no candidate."""

    cell_id: np.ndarray
    probability: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Candidates":
        """Return candidates with `function` applied to each array."""
        return Candidates(*(function(getattr(self, name)) for name in COLUMNS))

    def take(self, ranks: np.ndarray) -> "Candidates":
        """Return the candidates of each photo at `ranks` (n, j)."""
        return self.map(lambda array: np.take_along_axis(array, ranks, axis=1))

    def best(self, count: int) -> "Candidates":
        """Return the first `count` candidates of each photo, or all if there are fewer."""
        return self.map(lambda array: array[:, :count])

    def rows(self, which: slice | np.ndarray) -> "Candidates":
        """Return the candidates of some photos."""
        return self.map(lambda array: array[which])

    @staticmethod
    def concatenate(parts: Sequence["Candidates"], axis: int) -> "Candidates":
        """Join candidates of further photos (axis 0), or further candidates of the same photos (axis 1)."""
        return Candidates(*(np.concatenate([getattr(part, name) for part in parts], axis=axis) for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(Candidates))


def refine(
    index: RefineIndex,
    vectors: np.ndarray,
    candidates: Candidates,
    temperature: float,
    max_move_km: float | None = None,
) -> Candidates:
    """Return candidates with refined places and a new ranking, from the embeddings (n, d) of their photos.

    The score of a prototype is the log-probability of its cell plus the log-softmax of -distance / temperature over
    all prototypes of the candidate cells; distances are between vectors of length 1. Each cell has the score of its
    nearest prototype, and the place of that prototype's training photo which is most similar to the query. A cell
    without prototypes keeps its centroid and is scored with the median distance. If the new first answer lies more
    than `max_move_km` from the classifier's, the photo keeps the classifier's candidates. The sum of the k
    probabilities is unchanged.
    """
    blocks = []
    with threadpool_limits(1, user_api="blas"):  # small matrix products are slower on several threads
        for start in range(0, max(len(vectors), 1), BLOCK):
            some = candidates.rows(slice(start, start + BLOCK))
            blocks.append(_refine_block(index, index.normalise(vectors[start : start + BLOCK]), some, temperature))
    moved = Candidates.concatenate(blocks, axis=0)
    return moved if max_move_km is None else _undo_far_moves(candidates, moved, max_move_km)


def _refine_block(index: RefineIndex, vectors: np.ndarray, candidates: Candidates, temperature: float) -> Candidates:
    prototype, distance_nk = _nearest_prototypes(index, vectors, candidates.cell_id)
    member = _nearest_members(index, vectors, prototype)
    places = index.members[["latitude", "longitude"]].to_numpy()[member]  # arbitrary where prototype is -1
    latitude, longitude = np.where(
        prototype >= 0, np.moveaxis(places, -1, 0), [candidates.latitude, candidates.longitude]
    )
    with np.errstate(divide="ignore"):  # the softmax's denominator is the same for all prototypes of a photo
        scores = np.log(candidates.probability) - distance_nk / temperature
    probability = scaled_softmax(scores, candidates.probability.sum(axis=1))
    moved = Candidates(candidates.cell_id, probability, latitude, longitude)
    return moved.take(np.argsort(-scores, axis=1, kind="stable"))


def _nearest_prototypes(index: RefineIndex, vectors: np.ndarray, cell_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number (n, k) of each cell's nearest prototype and its distance.

    A cell without prototypes has -1 and the median distance of the photo to the prototypes of its other cells.
    """
    known = index.prototypes["cell_id"].to_numpy()
    number, nearest = np.full(cell_id.shape, -1), np.zeros(cell_id.shape)
    without = ~np.isin(cell_id, known)
    needs_median = np.any(without, axis=1)
    seen: list[pd.DataFrame] = []
    for cell, photos, ranks in groups(np.where(without, -1, cell_id)):
        start, end = np.searchsorted(known, [cell, cell + 1])
        distance_nm = distances(vectors[photos], index.prototype_vectors[start:end])
        best = distance_nm.argmin(axis=1)
        number[photos, ranks], nearest[photos, ranks] = start + best, distance_nm[np.arange(len(photos)), best]
        rows = np.flatnonzero(needs_median[photos])
        photo = np.repeat(photos[rows], end - start)
        seen.append(pd.DataFrame({"photo": photo, "distance": distance_nm[rows].ravel()}))
    if seen:
        by_photo = pd.concat(seen).groupby("photo")["distance"]
        median = by_photo.median().reindex(range(len(vectors)), fill_value=0.0)
        nearest = np.where(without, median.to_numpy()[:, None], nearest)
    return number, nearest


def _nearest_members(index: RefineIndex, vectors: np.ndarray, prototype: np.ndarray) -> np.ndarray:
    """Return the row (n, k) of the most similar training photo of each prototype; arbitrary where it is -1."""
    starts = np.append(0, np.cumsum(index.prototypes["photos"]))
    member = starts[np.maximum(prototype, 0)]
    several = np.diff(starts)[np.maximum(prototype, 0)] > 1
    for number, photos, ranks in groups(np.where(several, prototype, -1)):
        start, end = starts[number : number + 2]
        member[photos, ranks] = start + distances(vectors[photos], index.member_vectors[start:end]).argmin(axis=1)
    return member


def groups(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each number of an array (n, k), without -1, with the rows and columns where it occurs."""
    flat = numbers.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 0) :]
    values, first = np.unique(flat[order], return_index=True)
    for value, positions in zip(values.tolist(), np.split(order, first[1:]), strict=False):
        yield value, *np.divmod(positions, numbers.shape[1])


def distances(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances (n, m) between vectors (n, d), float32, and others (m, d), float16."""
    others = others.astype(np.float32)
    squares = np.einsum("nd,nd->n", vectors, vectors)[:, None] + np.einsum("md,md->m", others, others)
    return np.sqrt(np.maximum(squares - 2 * vectors @ others.T, 0))


def scaled_softmax(scores: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the softmax (n, k) of scores, scaled to sum to `total` (n,); all zero if every score is -infinity."""
    top = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300) * total[:, None]


def _undo_far_moves(before: Candidates, after: Candidates, max_move_km: float) -> Candidates:
    """Return `after`, but `before` for photos whose first answer moved by more than `max_move_km`."""
    moved_km = haversine_km(before.latitude[:, 0], before.longitude[:, 0], after.latitude[:, 0], after.longitude[:, 0])
    undo = (moved_km > max_move_km)[:, None]
    return Candidates(*(np.where(undo, getattr(before, name), getattr(after, name)) for name in COLUMNS))
