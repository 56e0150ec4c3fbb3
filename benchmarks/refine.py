"""Time of refinement of 40 cells per photo, compared with a loop over photos, of retrieval, and of building prototypes.

`--scale full`: prototypes of 100,000, 500,000 and a million photos, else of a tenth.
"""

import time

import numpy as np
import pandas as pd
from timing import median_seconds, scale_of, show

from homing.refine.index import RefineIndex, build_index, unit_length
from homing.refine.retrieve import build_lists, nearest_photos
from homing.refine.search import Candidates, refine
from homing.sphere import haversine_km

CELLS, PROTOTYPES, PHOTOS, TOP = 300, 12, 60, 40
DIMENSIONS = 1024  # of CLIP ViT-L/14
QUERIES, LOOPED = 1024, 16
TEMPERATURE = 0.2
PER_CELL = 500  # photos of a cell, which the partition bounds


def main() -> None:
    largest, as_json = scale_of(small=100_000, full=1_000_000)
    rng = np.random.default_rng(0)
    index = random_index(rng)
    vectors, candidates = random_queries(rng, index)
    figures = {"photos": len(index.members), "queries": QUERIES} | time_refinement(index, vectors, candidates)
    figures |= time_retrieval(index, vectors)
    seconds_of_building(rng, 2 * PER_CELL)  # compile
    sizes = (largest // 10, largest // 2, largest)
    seconds = [seconds_of_building(rng, size) for size in sizes]
    figures |= {f"build_seconds_{size}": value for size, value in zip(sizes, seconds, strict=True)}
    figures["build_growth_exponent"] = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    figures["build_photos_per_second"] = largest / seconds[-1]
    show(figures, as_json)


def random_index(rng: np.random.Generator) -> RefineIndex:
    """Return an index of random photos around their prototypes, in place and in embedding."""
    cell_id = np.repeat(np.arange(CELLS), PROTOTYPES)
    latitude, longitude = rng.uniform(-60, 70, len(cell_id)), rng.uniform(-180, 180, len(cell_id))
    centres = rng.normal(size=(len(cell_id), DIMENSIONS)).astype(np.float32)
    prototype = np.repeat(np.arange(len(cell_id)), PHOTOS)
    members = pd.DataFrame({"prototype": prototype, "photo_id": np.arange(len(prototype)).astype(str)})
    members["latitude"] = latitude[prototype] + rng.normal(0, 0.05, len(prototype))
    members["longitude"] = longitude[prototype] + rng.normal(0, 0.05, len(prototype))
    vectors = np.empty((len(prototype), DIMENSIONS), dtype=np.float16)
    for number, centre in enumerate(centres):
        own = slice(number * PHOTOS, (number + 1) * PHOTOS)
        vectors[own] = unit_length(centre + rng.normal(size=(PHOTOS, DIMENSIONS), scale=0.7))
    prototypes = pd.DataFrame({"prototype": np.arange(len(cell_id)), "cell_id": cell_id, "latitude": latitude})
    prototypes = prototypes.assign(longitude=longitude, photos=PHOTOS)
    means = unit_length(centres).astype(np.float16)
    return RefineIndex(prototypes, members, means, vectors, np.zeros(DIMENSIONS, dtype=np.float32))


def random_queries(rng: np.random.Generator, index: RefineIndex) -> tuple[np.ndarray, Candidates]:
    """Return embeddings near a training photo, each with 40 candidate cells, most of which are random."""
    rows = rng.integers(0, len(index.members), QUERIES)
    vectors = index.member_vectors[rows] + rng.normal(size=(QUERIES, DIMENSIONS), scale=0.03)
    cells = np.argsort(rng.random((QUERIES, CELLS)), axis=1)[:, :TOP]
    cells[:, 0] = rows // (PHOTOS * PROTOTYPES)
    places = index.prototypes[["latitude", "longitude"]].to_numpy()[cells * PROTOTYPES]
    probability = -np.sort(-rng.dirichlet(np.full(TOP, 0.3), QUERIES), axis=1)
    return vectors.astype(np.float32), Candidates(cells, probability, places[..., 0], places[..., 1])


def time_refinement(index: RefineIndex, vectors: np.ndarray, candidates: Candidates) -> dict[str, float]:
    """Return seconds per query of refinement and of the loop, and the differences between their answers."""
    seconds = median_seconds(lambda: refine(index, vectors, candidates, TEMPERATURE)) / QUERIES
    some = candidates.rows(slice(LOOPED))
    started = time.perf_counter()
    expected = naive_refine(index, vectors[:LOOPED], some)
    naive = (time.perf_counter() - started) / LOOPED
    found = refine(index, vectors, candidates, TEMPERATURE)
    distance_km = haversine_km(found.latitude[:LOOPED], found.longitude[:LOOPED], expected.latitude, expected.longitude)
    alone = vectors[:1], candidates.rows(slice(1))
    return {
        "seconds_per_query_k40": seconds, "naive_seconds_per_query_k40": naive, "times_faster": naive / seconds,
        "seconds_for_one_query_alone": median_seconds(lambda: refine(index, *alone, TEMPERATURE)),
        "same_cells_share": float((found.cell_id[:LOOPED] == expected.cell_id).mean()),
        "largest_difference_km": float(distance_km.max()),
        "largest_difference_of_probability": float(np.abs(found.probability[:LOOPED] - expected.probability).max()),
    }  # fmt: skip


def naive_refine(index: RefineIndex, vectors: np.ndarray, candidates: Candidates) -> Candidates:
    """Refine one photo and one cell at a time, in float64, as docs/refinement.md describes it."""
    members = index.members["prototype"].to_numpy()
    answers = []
    for photo, vector in enumerate(vectors):
        query = vector.astype(np.float64) - index.centre
        query /= np.linalg.norm(query)
        scores, places, softmax = np.empty(TOP), np.empty((TOP, 2)), 0.0
        for rank, cell in enumerate(candidates.cell_id[photo]):
            own = np.flatnonzero(index.prototypes["cell_id"].to_numpy() == cell)
            distance = np.linalg.norm(index.prototype_vectors[own] - query, axis=1)
            softmax += np.exp(-distance / TEMPERATURE).sum()
            scores[rank] = candidates.probability[photo, rank] * np.exp(-distance.min() / TEMPERATURE)
            rows = np.flatnonzero(members == own[distance.argmin()])
            nearest = rows[np.linalg.norm(index.member_vectors[rows] - query, axis=1).argmin()]
            places[rank] = index.members.loc[nearest, ["latitude", "longitude"]]
        scores = scores / softmax
        order = np.argsort(-scores)
        scores = scores / scores.sum() * candidates.probability[photo].sum()
        answers.append((candidates.cell_id[photo][order], scores[order], *places[order].T))
    return Candidates(*map(np.array, zip(*answers, strict=True)))


def time_retrieval(index: RefineIndex, vectors: np.ndarray) -> dict[str, float]:
    """Return seconds per query of exact search and of the inverted file, and the share of equal answers."""
    started = time.perf_counter()
    lists = build_lists(index.member_vectors, seed=0)
    built = time.perf_counter() - started
    exact, listed = nearest_photos(index, vectors), nearest_photos(index, vectors, lists)
    return {
        "retrieval_seconds_per_query_exact": median_seconds(lambda: nearest_photos(index, vectors)) / QUERIES,
        "retrieval_seconds_per_query_lists": median_seconds(lambda: nearest_photos(index, vectors, lists)) / QUERIES,
        "retrieval_lists": len(lists.centroids), "retrieval_lists_build_seconds": built,
        "retrieval_lists_share_found": float((exact.row == listed.row).mean()),
        "index_bytes_per_photo": index.member_vectors.nbytes / len(index.members),
    }  # fmt: skip


def seconds_of_building(rng: np.random.Generator, count: int) -> float:
    """Return the seconds to build prototypes of `count` photos in towns; the number of cells grows with the photos."""
    cells = count // PER_CELL
    towns = rng.uniform([-60, -180], [70, 180], (cells * 20, 2))
    town = rng.integers(0, len(towns), count)
    places = towns[town] + rng.normal(0, 0.02, (count, 2))
    photos = pd.DataFrame({"photo_id": np.arange(count).astype(str), "cell_id": town // 20})
    photos["latitude"], photos["longitude"] = places.T
    vectors = rng.integers(-9, 9, (count, DIMENSIONS), dtype=np.int8).astype(np.float16)
    started = time.perf_counter()
    build_index(photos, vectors, [30, 0.1])
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
