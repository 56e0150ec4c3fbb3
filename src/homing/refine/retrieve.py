"""Nearest-neighbour retrieval among all training photos: exact for small collections, an inverted file for large ones.

The lists of the inverted file (one per k-means centroid) hold row numbers of the refinement index, which keeps the
embeddings: they add 4 bytes per photo and the centroids, not a second copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from homing.refine.index import BLOCK, RefineIndex, unit_length
from homing.refine.search import Candidates, groups

EXACT_PHOTOS = 200_000  # the largest collection that is searched without lists
PROBES = 32  # lists searched per query
MAX_LISTS, SAMPLE_PER_LIST, ITERATIONS = 4_096, 64, 10  # of k-means
QUERY_BLOCK = 1_024  # queries compared at a time: 128 MB of similarities


@dataclass(frozen=True)
class InvertedLists:
    """k-means centroids (m, d), float32, and the rows of the photos nearest to each: rows[starts[i]:starts[i + 1]]."""

    centroids: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    def save(self, folder: str | Path) -> None:
        """Write lists_<name>.npy into the folder of the index."""
        for name in LIST_ARRAYS:
            np.save(Path(folder) / f"lists_{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: str | Path) -> "InvertedLists | None":
        """Read the lists of the index in `folder`; None if the index is small and has none."""
        if not (Path(folder) / "lists_rows.npy").is_file():
            return None
        return cls(*(np.load(Path(folder) / f"lists_{name}.npy", allow_pickle=False) for name in LIST_ARRAYS))


LIST_ARRAYS = tuple(field.name for field in fields(InvertedLists))


@dataclass(frozen=True)
class Neighbours:
    """The nearest training photo of n queries: its row in the index, -1 without any, and its cosine similarity."""

    row: np.ndarray
    similarity: np.ndarray


def nearest_photos(
    index: RefineIndex,
    vectors: np.ndarray,
    lists: InvertedLists | None = None,
    authors: tuple[np.ndarray, np.ndarray] | None = None,
) -> Neighbours:
    """Return the nearest neighbour of each embedding (n, d) among the members of the index; ties go to the first row.

    authors: numbers of the photographers (or sequences) of the queries (n,) and of the members (m,), -1 if unknown;
    photos by the query's own photographer are excluded.
    """
    best = Neighbours(np.full(len(vectors), -1), np.full(len(vectors), -np.inf, dtype=np.float32))
    queries = index.normalise(vectors)
    blocks = _exhaustive_blocks(index, len(vectors)) if lists is None else _probed_blocks(lists, queries)
    with threadpool_limits(None if lists is None else 1, user_api="blas"):  # small products are faster on one thread
        for members, rows in blocks:
            similarity_nm = queries[rows] @ index.member_vectors[members].astype(np.float32).T
            if authors is not None:
                own, theirs = authors[0][rows][:, None], authors[1][members]
                similarity_nm[(own == theirs) & (own >= 0)] = -np.inf
            _keep_better(best, rows, np.arange(len(index.members))[members], similarity_nm)
    return best


def author_numbers(queries: pd.Series, members: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Number the photographers of queries (n,) and members (m,): equal names, equal numbers; -1 if missing."""
    numbers, _ = pd.factorize(pd.concat([queries, members], ignore_index=True))
    return numbers[: len(queries)], numbers[len(queries) :]


def _keep_better(best: Neighbours, queries: np.ndarray, members: np.ndarray, similarity_nm: np.ndarray) -> None:
    """Update `best` at the rows `queries` (n,) with similarities (n, m) to `members` (m,), ascending rows."""
    first = similarity_nm.argmax(axis=1)
    value, row = similarity_nm[np.arange(len(first)), first], members[first]
    before = best.similarity[queries]
    better = (value > before) | ((value == before) & (row < best.row[queries]))
    best.row[queries[better]], best.similarity[queries[better]] = row[better], value[better]


def _exhaustive_blocks(index: RefineIndex, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield all pairs of members and queries, as rows of the index and of the queries."""
    for start in range(0, len(index.members), BLOCK):
        for begin in range(0, count, QUERY_BLOCK):
            yield slice(start, start + BLOCK), np.arange(begin, min(begin + QUERY_BLOCK, count))


def _probed_blocks(lists: InvertedLists, queries: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of each list with the queries (n, d) that have its centroid among their `PROBES` nearest."""
    probes = min(PROBES, len(lists.centroids))
    chosen = np.empty((len(queries), probes), dtype=np.int64)
    for start in range(0, len(queries), BLOCK):
        negative_similarity = -queries[start : start + BLOCK] @ lists.centroids.T
        chosen[start : start + BLOCK] = np.argpartition(negative_similarity, probes - 1, axis=1)[:, :probes]
    for number, rows, _ in groups(chosen):
        members = lists.rows[lists.starts[number] : lists.starts[number + 1]]
        if len(members):
            yield members, rows


def build_lists(vectors: np.ndarray, seed: int) -> InvertedLists:
    """Build sqrt(n) lists of vectors (n, d) of length 1, by spherical k-means on a sample."""
    rng = np.random.default_rng(seed)
    count = min(MAX_LISTS, int(np.sqrt(len(vectors))) + 1)
    sample = vectors[np.sort(rng.permutation(len(vectors))[: count * SAMPLE_PER_LIST])].astype(np.float32)
    centroids = sample[np.sort(rng.permutation(len(sample))[:count])]
    for _ in range(ITERATIONS):
        label = _nearest_centroids(sample, centroids)
        order = np.argsort(label, kind="stable")
        filled, first = np.unique(label[order], return_index=True)
        centroids[filled] = unit_length(np.add.reduceat(sample[order], first, axis=0))
    label = _nearest_centroids(vectors, centroids)
    starts = np.searchsorted(np.sort(label), np.arange(count + 1))
    return InvertedLists(centroids, np.argsort(label, kind="stable").astype(np.int32), starts)


def _nearest_centroids(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    blocks = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
    return np.concatenate([(block.astype(np.float32) @ centroids.T).argmax(axis=1) for block in blocks])


def gated(candidates: Candidates, neighbours: Neighbours, index: RefineIndex, gate_similarity: float) -> Candidates:
    """Return the place of the nearest training photo if its similarity reaches the gate, else the first candidate.

    candidates: (n, k); returns (n, 1). The probability is that of the first candidate in both cases.
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
