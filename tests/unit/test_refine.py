"""Refinement against a plain loop, and what it must never do."""

import numpy as np
import pandas as pd
import pytest

from homing.errors import HomingError
from homing.refine.index import RefineIndex, build_index, cluster_places
from homing.refine.search import Candidates, refine
from homing.refine.table import best_cells, from_table, to_table
from homing.sphere import haversine_km


@pytest.fixture(scope="module")
def trained():
    """Training photos in 5 cells, in towns and alone, with embeddings that tell the town."""
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for cell in range(5):
        for _town in range(3):
            place, look = rng.uniform(-40, 40, 2), rng.normal(size=16)
            for _ in range(12):
                rows.append((cell, *(place + rng.normal(0, 0.01, 2))))
                vectors.append(look + rng.normal(0, 0.1, 16))
    photos = pd.DataFrame(rows, columns=["cell_id", "latitude", "longitude"])
    photos["cell_id"] = photos["cell_id"].replace({3: 7})  # cells 3 to 6 have no training photo
    photos.insert(0, "photo_id", [f"p{number:03d}" for number in rng.permutation(len(photos))])
    vectors = np.array(vectors, dtype=np.float32) + 3
    return photos, vectors, build_index(photos, vectors, [3, 0.15])


@pytest.fixture
def queries(trained):
    photos, vectors, _ = trained
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(photos), 30)
    cells = np.array([rng.permutation([0, 1, 2, 4, 5, 7])[:4] for _ in rows])
    probability = np.sort(rng.dirichlet(np.ones(5), 30)[:, :4], axis=1)[:, ::-1]
    centroids = rng.uniform(-40, 40, (2, 30, 4))
    return rows, vectors[rows] + rng.normal(0, 0.05, (30, 16)), Candidates(cells, probability, *centroids)


def test_prototypes_are_means_of_places_close_together(trained):
    photos, vectors, index = trained
    assert index.prototypes["photos"].sum() == len(photos) == len(index.members)
    assert set(index.prototypes["cell_id"]) == {0, 1, 2, 4, 7} and index.prototypes["cell_id"].is_monotonic_increasing
    assert index.prototypes["photos"].max() >= 5
    centred = vectors - vectors.mean(axis=0)
    unit = pd.DataFrame(centred / np.linalg.norm(centred, axis=1, keepdims=True), index=photos["photo_id"])
    for number, members in index.members.groupby("prototype"):
        own = index.prototypes.loc[number]
        away = haversine_km(members["latitude"], members["longitude"], own["latitude"], own["longitude"])
        assert away.max() < 10
        mean = unit.loc[members["photo_id"]].mean().to_numpy()
        np.testing.assert_allclose(index.prototype_vectors[number], mean / np.linalg.norm(mean), atol=5e-4)


def test_refinement_by_a_plain_loop(trained, queries):
    _, _, index = trained
    _, vectors, candidates = queries
    found = refine(index, vectors, candidates, temperature=0.3)
    for photo in range(len(vectors)):
        query = vectors[photo] - index.centre.astype(np.float64)
        query = query / np.linalg.norm(query)
        distances = {
            cell: np.linalg.norm(index.prototype_vectors[index.prototypes["cell_id"] == cell] - query, axis=1)
            for cell in candidates.cell_id[photo]
        }
        everywhere = np.concatenate(list(distances.values()))
        softmax = np.exp(-everywhere / 0.3).sum()
        scores, places = {}, {}
        for rank, cell in enumerate(candidates.cell_id[photo]):
            away = distances[cell]
            nearest = away.min() if len(away) else np.median(everywhere)
            scores[cell] = candidates.probability[photo, rank] * np.exp(-nearest / 0.3) / softmax
            places[cell] = candidates.latitude[photo, rank], candidates.longitude[photo, rank]
            if len(away):
                number = index.prototypes.index[index.prototypes["cell_id"] == cell][away.argmin()]
                rows = np.flatnonzero(index.members["prototype"] == number)
                away = np.linalg.norm(index.member_vectors[rows] - query, axis=1)
                best = rows[away.argmin()]  # the most similar, not the least
                places[cell] = tuple(index.members.loc[best, ["latitude", "longitude"]])
        order = sorted(scores, key=scores.get, reverse=True)
        assert found.cell_id[photo].tolist() == order
        assert found.probability[photo].sum() == pytest.approx(candidates.probability[photo].sum())
        for rank, cell in enumerate(order):
            assert (found.latitude[photo, rank], found.longitude[photo, rank]) == pytest.approx(places[cell])


def test_a_training_photo_finds_its_own_place(trained):
    photos, vectors, index = trained
    one = photos["cell_id"].to_numpy()[:, None]
    candidates = Candidates(one, np.ones(one.shape), np.zeros(one.shape), np.zeros(one.shape))
    found = refine(index, vectors, candidates, temperature=0.1)
    away = haversine_km(photos["latitude"], photos["longitude"], found.latitude[:, 0], found.longitude[:, 0])
    assert np.median(away) < 1e-6 and away.max() < 5


def test_a_cell_without_prototypes_keeps_its_centroid(trained, queries):
    _, vectors, candidates = queries
    found = refine(trained[2], vectors, candidates, temperature=0.3)
    for photo, rank in zip(*np.nonzero(found.cell_id == 5), strict=True):
        before = candidates.cell_id[photo].tolist().index(5)
        assert found.latitude[photo, rank] == candidates.latitude[photo, before]


def test_a_guess_too_far_away_is_refused(trained, queries):
    _, vectors, candidates = queries
    free = refine(trained[2], vectors, candidates, temperature=0.3)
    held = refine(trained[2], vectors, candidates, temperature=0.3, max_move_km=1500)
    moved = haversine_km(
        candidates.latitude[:, 0], candidates.longitude[:, 0], free.latitude[:, 0], free.longitude[:, 0]
    )
    assert (moved > 1500).any() and (moved <= 1500).any()
    expected = np.where((moved > 1500)[:, None], candidates.latitude, free.latitude)
    np.testing.assert_array_equal(held.latitude, expected)


def test_the_scale_of_embeddings_does_not_matter(trained, queries):
    photos, vectors, index = trained
    _, asked, candidates = queries
    scaled = refine(build_index(photos, 50 * vectors, [3, 0.15]), 50 * asked, candidates, temperature=0.3)
    np.testing.assert_array_equal(scaled.cell_id, refine(index, asked, candidates, temperature=0.3).cell_id)


def test_the_index_survives_saving(trained, tmp_path):
    index = trained[2]
    index.save(tmp_path)
    again = RefineIndex.load(tmp_path)
    pd.testing.assert_frame_equal(index.prototypes, again.prototypes)
    np.testing.assert_allclose(index.member_vectors, again.member_vectors, atol=1e-3)


def test_photos_in_no_cluster_stand_alone():
    assert cluster_places(np.array([0.0, 20, 40]), np.zeros(3), 3, 0.15).tolist() == [0, 1, 2]
    burst = cluster_places(np.concatenate([np.zeros(8), [30.0]]), np.zeros(9), 3, 0.15)
    assert len(burst) == 9 and burst.min() == 0


def test_tables_and_candidates_are_the_same_thing():
    probability = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    cells = pd.DataFrame({"cell_id": [0, 1, 2], "latitude": [1.0, 2, 3], "longitude": [4.0, 5, 6]})
    best = best_cells(probability, cells, 2)
    assert best.cell_id.tolist() == [[1, 2], [0, 2]] and best.latitude.tolist() == [[2, 3], [1, 3]]
    table = to_table(["a", "b"], best)
    ids, again = from_table(table)
    assert ids == ["a", "b"] and again.probability.tolist() == best.probability.tolist()
    with pytest.raises(HomingError, match="the same ranks"):
        from_table(table.iloc[:-1])
