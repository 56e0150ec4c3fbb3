"""From the classifier's best cells to a place: the best prototype of each, there the most similar photo."""

from dataclasses import dataclass

import numpy as np

from homing.refine.index import RefineIndex
from homing.sphere import haversine_km


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
    vectors = index.comparable(vectors)
    starts = np.searchsorted(index.prototypes["cell_id"].to_numpy(), candidates.cell_id, side="left")
    ends = np.searchsorted(index.prototypes["cell_id"].to_numpy(), candidates.cell_id, side="right")
    member_starts = np.searchsorted(index.members["prototype"].to_numpy(), np.arange(len(index.prototypes) + 1))
    places = index.members[["latitude", "longitude"]].to_numpy()
    latitude, longitude = candidates.latitude.copy(), candidates.longitude.copy()
    scores = np.full(candidates.cell_id.shape, -np.inf)
    for photo, vector in enumerate(vectors):
        spans = [np.arange(start, end) for start, end in zip(starts[photo], ends[photo], strict=True)]
        distances = [distance(vector, index.prototype_vectors[span]) for span in spans]
        everywhere = np.concatenate(distances)
        typical = np.median(everywhere) if len(everywhere) else 0.0
        for rank, (span, away) in enumerate(zip(spans, distances, strict=True)):
            scores[photo, rank] = -(away.min() if len(away) else typical) / temperature
            if len(span):
                best = span[away.argmin()]
                own = slice(member_starts[best], member_starts[best + 1])
                nearest = member_starts[best] + distance(vector, index.member_vectors[own]).argmin()
                latitude[photo, rank], longitude[photo, rank] = places[nearest]
    with np.errstate(divide="ignore"):
        scores += np.log(candidates.probability)  # the softmax's sum is the same for all of a photo's prototypes
    moved = Candidates(candidates.cell_id, share(scores, candidates.probability.sum(axis=1)), latitude, longitude)
    moved = moved.take(np.argsort(-scores, axis=1, kind="stable"))
    return moved if max_move_km is None else _refuse_far(candidates, moved, max_move_km)


def distance(vector: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distances (m,) of a vector (d,) to others (m, d)."""
    return np.linalg.norm(others.astype(np.float32) - vector, axis=1)


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
