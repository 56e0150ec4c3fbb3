"""The most similar training photo of all: exact for small collections, through lists of similar photos for large ones.

The lists (an inverted file over k-means centroids) hold row numbers of the refinement index, which keeps the
embeddings: they add 4 bytes per photo and the centroids to it, not a second copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from homing.refine.index import BLOCK, RefineIndex, unit_length
from homing.refine.search import pairs

EXACT_PHOTOS = 200_000  # up to here every photo is compared
PROBES = 32  # lists that are searched for a query
MOST_LISTS, SAMPLE_PER_LIST, ROUNDS = 4_096, 64, 10  # of k-means
QUERIES = 1_024  # compared at a time: 128 MB of similarities


@dataclass(frozen=True)
class Lists:
    """Centroids (m, d), float32, and the rows of the photos nearest to each: rows[starts[i]:starts[i + 1]]."""

    centroids: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    def save(self, folder: str | Path) -> None:
        """Write lists_<name>.npy into the index's folder."""
        for name in self.__annotations__:
            np.save(Path(folder) / f"lists_{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: str | Path) -> "Lists | None":
        """The lists of the index in `folder`; None where it is small and has none."""
        if not (Path(folder) / "lists_rows.npy").is_file():
            return None
        return cls(*(np.load(Path(folder) / f"lists_{name}.npy", allow_pickle=False) for name in cls.__annotations__))


@dataclass(frozen=True)
class Neighbours:
    """For each of n queries the row of its most similar training photo, -1 without any, and the cosine."""

    row: np.ndarray
    similarity: np.ndarray


def nearest_photos(
    index: RefineIndex,
    vectors: np.ndarray,
    lists: Lists | None = None,
    authors: tuple[np.ndarray, np.ndarray] | None = None,
) -> Neighbours:
    """The most similar member of the index for embeddings (n, d); of equals the first.

    authors: numbers of the photographers (or sequences) of the queries and of the members, -1 where unknown; photos of
    a query's own photographer are passed over.
    """
    best = Neighbours(np.full(len(vectors), -1), np.full(len(vectors), -np.inf, dtype=np.float32))
    compared = index.comparable(vectors)
    pieces = _everything(index, len(vectors)) if lists is None else _probed(lists, compared)
    with threadpool_limits(None if lists is None else 1, user_api="blas"):  # small products are faster on one thread
        for rows, queries in pieces:
            similar = compared[queries] @ index.member_vectors[rows].astype(np.float32).T
            if authors is not None:
                own, theirs = authors[0][queries][:, None], authors[1][rows]
                similar[(own == theirs) & (own >= 0)] = -np.inf
            _keep_better(best, queries, np.arange(len(index.members))[rows], similar)
    return best


def author_numbers(queries: pd.Series, members: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The same number for the same photographer in both, -1 where the name is missing."""
    numbers, _ = pd.factorize(pd.concat([queries, members], ignore_index=True))
    return numbers[: len(queries)], numbers[len(queries) :]


def _keep_better(best: Neighbours, queries: np.ndarray, row: np.ndarray, similar: np.ndarray) -> None:
    """Note the best of similarities (q, m) of the `queries` to the members `row`, in rising order."""
    first = similar.argmax(axis=1)
    value, row = similar[np.arange(len(first)), first], row[first]
    before = best.similarity[queries]
    better = (value > before) | ((value == before) & (row < best.row[queries]))
    best.row[queries[better]], best.similarity[queries[better]] = row[better], value[better]


def _everything(index: RefineIndex, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(index.members), BLOCK):
        for begin in range(0, count, QUERIES):
            yield slice(start, start + BLOCK), np.arange(begin, min(begin + QUERIES, count))


def _probed(lists: Lists, compared: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    probes = min(PROBES, len(lists.centroids))
    chosen = np.empty((len(compared), probes), dtype=np.int64)
    for start in range(0, len(compared), BLOCK):
        away = -compared[start : start + BLOCK] @ lists.centroids.T
        chosen[start : start + BLOCK] = np.argpartition(away, probes - 1, axis=1)[:, :probes]
    for number, queries, _ in pairs(chosen):
        rows = lists.rows[lists.starts[number] : lists.starts[number + 1]]
        if len(rows):
            yield rows, queries


def build_lists(vectors: np.ndarray, seed: int) -> Lists:
    """Lists of vectors (n, d) of length 1 by spherical k-means on a sample; as many lists as the root of n."""
    rng = np.random.default_rng(seed)
    count = min(MOST_LISTS, int(np.sqrt(len(vectors))) + 1)
    sample = vectors[np.sort(rng.permutation(len(vectors))[: count * SAMPLE_PER_LIST])].astype(np.float32)
    centroids = sample[np.sort(rng.permutation(len(sample))[:count])]
    for _ in range(ROUNDS):
        label = _nearest_centroids(sample, centroids)
        order = np.argsort(label, kind="stable")
        filled, first = np.unique(label[order], return_index=True)
        centroids[filled] = unit_length(np.add.reduceat(sample[order], first, axis=0))
    label = _nearest_centroids(vectors, centroids)
    starts = np.searchsorted(np.sort(label), np.arange(count + 1))
    return Lists(centroids, np.argsort(label, kind="stable").astype(np.int32), starts)


def _nearest_centroids(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    blocks = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
    return np.concatenate([(block.astype(np.float32) @ centroids.T).argmax(axis=1) for block in blocks])
