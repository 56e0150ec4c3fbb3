"""Refinement against plain loops, and properties of the readouts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from homing.errors import HomingError
from homing.refine.fit import STAY_KM, SURE, errors_km, fit, fit_gate, is_clear_gain, loss
from homing.refine.index import RefineIndex, build_index, cluster_places
from homing.refine.readout import best_score, hierarchical, median_point, mode_mean, nodes_above
from homing.refine.retrieve import build_lists, gated, nearest_photos
from homing.refine.search import Candidates, refine
from homing.refine.table import best_cells, from_table, to_table
from homing.sphere import from_vectors, haversine_km, unit_vectors


@pytest.fixture(scope="module")
def trained():
    """Training photos in towns of 5 cells, with an embedding per town."""
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


def test_prototypes_are_means_of_nearby_photos(trained):
    photos, vectors, index = trained
    assert index.prototypes["photos"].sum() == len(photos) == len(index.members)
    assert set(index.prototypes["cell_id"]) == {0, 1, 2, 4, 7} and index.prototypes["cell_id"].is_monotonic_increasing
    assert index.prototypes["photos"].max() >= 5
    centred = vectors - vectors.mean(axis=0)
    unit = pd.DataFrame(centred / np.linalg.norm(centred, axis=1, keepdims=True), index=photos["photo_id"])
    for number, members in index.members.groupby("prototype"):
        own = index.prototypes.loc[number]
        distance_km = haversine_km(members["latitude"], members["longitude"], own["latitude"], own["longitude"])
        assert distance_km.max() < 10
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
            distance = distances[cell]
            nearest = distance.min() if len(distance) else np.median(everywhere)
            scores[cell] = candidates.probability[photo, rank] * np.exp(-nearest / 0.3) / softmax
            places[cell] = candidates.latitude[photo, rank], candidates.longitude[photo, rank]
            if len(distance):
                number = index.prototypes.index[index.prototypes["cell_id"] == cell][distance.argmin()]
                rows = np.flatnonzero(index.members["prototype"] == number)
                distance = np.linalg.norm(index.member_vectors[rows] - query, axis=1)
                best = rows[distance.argmin()]  # the most similar, not the least
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
    distance_km = haversine_km(photos["latitude"], photos["longitude"], found.latitude[:, 0], found.longitude[:, 0])
    assert np.median(distance_km) < 1e-6 and distance_km.max() < 5


def test_a_cell_without_prototypes_keeps_its_centroid(trained, queries):
    _, vectors, candidates = queries
    found = refine(trained[2], vectors, candidates, temperature=0.3)
    for photo, rank in zip(*np.nonzero(found.cell_id == 5), strict=True):
        before = candidates.cell_id[photo].tolist().index(5)
        assert found.latitude[photo, rank] == candidates.latitude[photo, before]


def test_a_move_beyond_the_maximum_is_undone(trained, queries):
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


def test_the_index_is_equal_after_saving_and_loading(trained, tmp_path):
    index = trained[2]
    index.save(tmp_path)
    again = RefineIndex.load(tmp_path)
    pd.testing.assert_frame_equal(index.prototypes, again.prototypes)
    np.testing.assert_allclose(index.member_vectors, again.member_vectors, atol=1e-3)


def test_photos_outside_all_clusters_are_their_own_prototypes():
    assert cluster_places(np.array([0.0, 20, 40]), np.zeros(3), 3, 0.15).tolist() == [0, 1, 2]
    burst = cluster_places(np.concatenate([np.zeros(8), [30.0]]), np.zeros(9), 3, 0.15)
    assert len(burst) == 9 and burst.min() == 0


def test_candidates_are_equal_after_a_round_trip_through_a_table():
    probability = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    cells = pd.DataFrame({"cell_id": [0, 1, 2], "latitude": [1.0, 2, 3], "longitude": [4.0, 5, 6]})
    best = best_cells(probability, cells, 2)
    assert best.cell_id.tolist() == [[1, 2], [0, 2]] and best.latitude.tolist() == [[2, 3], [1, 3]]
    table = to_table(["a", "b"], best)
    ids, again = from_table(table)
    assert ids == ["a", "b"] and again.probability.tolist() == best.probability.tolist()
    with pytest.raises(HomingError, match="the same ranks"):
        from_table(table.iloc[:-1])


@pytest.fixture(scope="module")
def posteriors():
    """Photos whose true place is drawn from their own posterior: a few regions each, of candidates 100 km apart."""
    rng = np.random.default_rng(2)
    photos, count = 600, 20
    region = rng.integers(0, 3, (photos, count))
    centre = np.stack([rng.uniform(-40, 60, (photos, 3)), rng.uniform(-180, 180, (photos, 3))])
    places = np.take_along_axis(centre, region[None], axis=2) + rng.normal(0, 0.9, (2, photos, count))
    weights = np.take_along_axis(rng.dirichlet(np.full(3, 0.4), photos), region, axis=1)
    probability = weights * rng.gamma(0.7, size=weights.shape) + 1e-12
    probability /= probability.sum(axis=1, keepdims=True)
    mass = np.stack([(probability * (region == one)).sum(axis=1) for one in range(3)], axis=1)
    true_region = (rng.random((photos, 1)) > mass.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    truth = centre[:, np.arange(photos), true_region] + rng.normal(0, 0.9, (2, photos))
    candidates = Candidates(region, probability, places[0], (places[1] + 180) % 360 - 180)
    return candidates.take(np.argsort(-probability, axis=1, kind="stable")), truth.T


def expected(photo: int, candidates: Candidates, latitude: float, longitude: float, worth=lambda km: km) -> float:
    """Return the expected worth of a place by a photo's posterior."""
    distance_km = haversine_km(latitude, longitude, candidates.latitude[photo], candidates.longitude[photo])
    return float((candidates.probability[photo] * worth(distance_km)).sum())


def test_each_readout_is_best_by_its_own_objective(posteriors):
    candidates, truth = posteriors
    means = [
        spherical_mean_of(candidates.latitude[photo], candidates.longitude[photo], candidates.probability[photo])
        for photo in range(len(truth))
    ]
    plain = Candidates(candidates.cell_id[:, :1], candidates.probability[:, :1], *np.array(means).T[..., None])
    answers = {"best": candidates, "plain": plain, "mode": mode_mean(candidates, 200)}
    answers |= {"score": best_score(candidates), "median": median_point(candidates)}
    error = {name: errors_km(answer, truth) for name, answer in answers.items()}
    median = {name: np.median(error_km) for name, error_km in error.items()}
    assert median["mode"] == min(median.values())
    assert median["mode"] < 0.9 * median["best"] and median["mode"] < 0.5 * median["plain"]
    assert error["median"].mean() == min(error_km.mean() for error_km in error.values())
    score = {name: np.exp(-error_km / 1492.7).mean() for name, error_km in error.items()}
    assert score["score"] > max(score["best"], score["plain"], score["median"])


def spherical_mean_of(latitude, longitude, weights):
    return [float(part) for part in from_vectors((unit_vectors(latitude, longitude) * weights[:, None]).sum(axis=0))]


def test_no_candidate_has_a_higher_expected_score_than_the_readout(posteriors):
    candidates, _ = posteriors
    for radius_km, worth in ((None, lambda km: np.exp(-km / 1492.7)), (200, lambda km: km <= 200)):
        found = best_score(candidates, radius_km)
        for photo in range(40):
            places = zip(candidates.latitude[photo], candidates.longitude[photo], strict=True)
            best = max(expected(photo, candidates, *place, worth) for place in places)
            own = expected(photo, candidates, found.latitude[photo, 0], found.longitude[photo, 0], worth)
            assert own == pytest.approx(best, abs=1e-9)


def test_no_step_from_the_median_point_has_a_smaller_expected_distance(posteriors):
    candidates, _ = posteriors
    found = median_point(candidates)
    for photo in range(60):
        at = found.latitude[photo, 0], found.longitude[photo, 0]
        least = expected(photo, candidates, *at)
        for north, east in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            for degrees in (0.1, 2):
                assert expected(photo, candidates, at[0] + north * degrees, at[1] + east * degrees) > least * (1 - 1e-4)


def test_readouts_across_the_antimeridian_and_of_one_candidate():
    fiji = Candidates(
        np.array([[3, 4]]), np.array([[0.5, 0.5]]), np.array([[-17.0, -17.0]]), np.array([[179.5, -179.5]])
    )
    for found in (mode_mean(fiji, 200), median_point(fiji), best_score(fiji)):
        assert abs(found.longitude[0, 0]) >= 179.5 - 1e-9 and found.latitude[0, 0] == pytest.approx(-17, abs=0.01)
    one = fiji.take(np.array([[1]]))
    for found in (mode_mean(one, 50), median_point(one), best_score(one, 25)):
        assert (found.cell_id[0, 0], found.latitude[0, 0]) == (4, pytest.approx(-17))


def test_the_hierarchy_prefers_a_cell_of_a_likely_country():
    table = pd.DataFrame({"level": [0, 0, 1, 1, 1, 1], "node": [0, 1, 0, 1, 2, 3], "name": "n", "latitude": 0.0})
    table["parent"] = pd.array([None, None, 0, 0, 0, 1], dtype="Int32")
    coarser = nodes_above(table)
    assert coarser.tolist() == [[0, 0, 0, 1]]
    cells, probability = np.array([[3, 1, 0, 2]]), np.array([[0.34, 0.3, 0.2, 0.16]])
    candidates = Candidates(cells, probability, np.zeros((1, 4)), np.arange(4.0)[None])
    assert hierarchical(candidates, coarser, 0).cell_id.tolist() == [[3]]
    assert hierarchical(candidates, coarser, 1).cell_id.tolist() == [[1]]  # .3 x .66 against .34 x .34
    with pytest.raises(HomingError, match="not in the hierarchy"):
        hierarchical(candidates, coarser[:, :3], 1)


def test_temperatures_at_their_limits(trained, queries):
    _, vectors, candidates = queries
    hot = refine(trained[2], vectors, candidates, temperature=1e6)
    np.testing.assert_array_equal(hot.cell_id, candidates.cell_id)
    np.testing.assert_allclose(hot.probability, candidates.probability, rtol=1e-4)
    cold = refine(trained[2], vectors, candidates, temperature=1e-5)
    nearest = refine(trained[2], vectors, replace(candidates, probability=np.full((30, 4), 0.25)), temperature=0.3)
    np.testing.assert_array_equal(cold.cell_id[:, 0], nearest.cell_id[:, 0])
    share = [refine(trained[2], vectors, candidates, t).probability.max(axis=1).mean() for t in (1e-3, 0.1, 0.3)]
    assert share == sorted(share, reverse=True)


def test_the_nearest_neighbour_among_all_and_among_other_photographers(trained):
    _, vectors, index = trained
    rng = np.random.default_rng(3)
    asked = vectors[rng.integers(0, len(vectors), 50)] + rng.normal(0, 0.2, (50, 16))
    authors = rng.integers(-1, 4, 50), rng.integers(-1, 4, len(vectors))
    query = index.normalise(asked)
    similar = query @ index.member_vectors.astype(np.float32).T
    free = nearest_photos(index, asked)
    np.testing.assert_array_equal(free.row, similar.argmax(axis=1))
    same = (authors[0][:, None] == authors[1]) & (authors[0][:, None] >= 0)
    others = nearest_photos(index, asked, authors=authors)
    np.testing.assert_array_equal(others.row, np.where(same, -1, similar).argmax(axis=1))
    assert (free.row != others.row).any() and (free.row == others.row)[authors[0] < 0].all()
    nobody = nearest_photos(index, asked[:1], authors=(np.array([7]), np.full(len(vectors), 7)))
    assert nobody.row.tolist() == [-1]
    assert gated(best_cells(np.eye(8)[:1], cells_of(8), 3), nobody, index, -1.0).cell_id.tolist() == [[0]]


def cells_of(count: int) -> pd.DataFrame:
    return pd.DataFrame({"cell_id": np.arange(count), "latitude": 0.0, "longitude": 0.0})


def test_inverted_lists_find_nearly_all_nearest_neighbours():
    rng = np.random.default_rng(4)
    looks = rng.normal(size=(200, 32))
    vectors = (looks[rng.integers(0, 200, 20_000)] + rng.normal(0, 0.5, (20_000, 32))).astype(np.float32)
    photos = pd.DataFrame({"photo_id": [f"{n:05d}" for n in range(20_000)], "cell_id": np.arange(20_000) // 40})
    index = build_index(photos.assign(latitude=0.0, longitude=photos["cell_id"] / 10), vectors, [100, 0.1])
    lists = build_lists(index.member_vectors, seed=1)
    assert np.array_equal(np.sort(lists.rows), np.arange(20_000)) and lists.starts[-1] == 20_000
    again = build_lists(index.member_vectors, seed=1)
    assert np.array_equal(lists.rows, again.rows) and np.array_equal(lists.centroids, again.centroids)
    asked = vectors[:500] + rng.normal(0, 0.3, (500, 32))
    exact, probed = nearest_photos(index, asked), nearest_photos(index, asked, lists)
    assert (exact.row == probed.row).mean() > 0.95
    assert (probed.similarity <= exact.similarity + 1e-5).all()


def alone(count: int) -> np.ndarray:
    """Return the author numbers of photos without a known photographer."""
    return np.full(count, -1)


def test_gains_by_chance_are_not_clear():
    rng = np.random.default_rng(8)
    wins = 0
    for _ in range(200):
        before = rng.gamma(0.5, 800, 300)
        wins += is_clear_gain(before * np.exp(rng.normal(0, 1, 300)), before, "mean_log", alone(300), SURE)
    assert wins <= 14  # of 5 that chance allows
    before = rng.gamma(0.5, 800, 300)
    assert is_clear_gain(before * 0.8, before, "mean_log", alone(300), SURE)
    assert is_clear_gain(before * 0.8, before, "median", alone(300), SURE)
    assert not is_clear_gain(before, before, "mean_log", alone(300), SURE)
    lucky = before * np.where(np.arange(300) < 150, 0.7, 1.1)  # one photographer gains, the nine others lose
    names = np.where(np.arange(300) < 150, 0, 1 + np.arange(300) % 9)
    assert is_clear_gain(lucky, before, "mean_log", alone(300), SURE) and not is_clear_gain(
        lucky, before, "mean_log", names, SURE
    )


def test_the_gate_opens_where_retrieval_is_right():
    rng = np.random.default_rng(5)
    similarity = rng.uniform(0.2, 1, 3000).astype(np.float32)
    found = np.where(similarity > 0.7, rng.uniform(0, 5, 3000), rng.uniform(0, 9000, 3000))
    otherwise = rng.uniform(10, 500, 3000)
    for objective in ("median", "mean_log"):
        gate = fit_gate(similarity, found, otherwise, objective, alone(3000))
        assert 0.68 < gate < 0.75
        assert loss(np.where(similarity >= gate, found, otherwise), objective) < loss(otherwise, objective)
    assert fit_gate(similarity, otherwise + 1, otherwise, "median", alone(3000)) > 1  # never
    assert fit_gate(np.full(5, -np.inf, np.float32), np.ones(5), np.ones(5), "median", alone(5)) > 1
    by_chance = fit_gate(similarity, rng.permutation(otherwise), otherwise, "mean_log", alone(3000))
    assert by_chance > 1  # of 200 thresholds some gain a little


FREE = {"temperature": None, "mode_radius_km": None, "hierarchy_weight": None, "gate_similarity": None,
        "objective": "mean_log", "max_move_km": None}  # fmt: skip


def test_fitted_parameters_do_not_increase_the_loss_and_given_ones_are_kept(trained, queries):
    photos, _, index = trained
    rows, vectors, candidates = queries
    truth = photos[["latitude", "longitude"]].to_numpy()[rows]
    coarser = np.array([[0, 0, 0, 1, 1, 1, 1, 1]])
    neighbours = nearest_photos(index, vectors)
    nobody = alone(len(truth))
    chosen = fit(FREE, index, vectors, candidates, truth, neighbours, coarser, nobody)
    before = loss(errors_km(candidates, truth), "mean_log")
    refined = refine(index, vectors, candidates, chosen["temperature"])
    answers = gated(refined, neighbours, index, chosen["gate_similarity"])
    assert loss(errors_km(answers, truth), "mean_log") <= loss(errors_km(refined, truth), "mean_log") < before
    given = {"temperature": 0.7, "mode_radius_km": 33, "hierarchy_weight": 3, "gate_similarity": 0.9}
    found = fit(FREE | given, index, vectors, candidates, truth, neighbours, coarser, nobody)
    assert given.items() <= found.items() and found["max_move_km"] is chosen["max_move_km"] is None
    assert chosen["mean_log"]["refined"] < chosen["mean_log"]["classifier"] == before
    nothing = fit(
        FREE | given, index, vectors[:0], candidates.rows(slice(0)), truth[:0], neighbours, coarser, nobody[:0]
    )
    assert given.items() <= nothing.items() and nothing["mean_log"] == {}
    with pytest.raises(HomingError, match="no validation photo"):
        fit(FREE, index, vectors[:0], candidates.rows(slice(0)), truth[:0], neighbours, coarser, nobody[:0])


def test_uninformative_embeddings_keep_the_classifiers_answer(trained):
    """Each photo lies near the centroid of its cell, and its embedding says nothing."""
    photos, _, index = trained
    rng = np.random.default_rng(6)
    cells = np.array([rng.permutation([0, 1, 2, 4, 7]) for _ in range(200)])
    centroid = (
        photos.groupby("cell_id")[["latitude", "longitude"]].mean().loc[cells.ravel()].to_numpy().reshape(200, 5, 2)
    )
    candidates = Candidates(cells, np.tile([0.4, 0.3, 0.2, 0.05, 0.05], (200, 1)), centroid[..., 0], centroid[..., 1])
    true = (rng.random(200)[:, None] > np.cumsum([0.4, 0.3, 0.2, 0.05])).sum(axis=1)
    truth = centroid[np.arange(200), true] + rng.normal(0, 0.5, (200, 2))
    vectors = rng.normal(size=(200, 16)).astype(np.float32) + 3
    coarser, neighbours = np.array([[0, 0, 0, 1, 1, 1, 1, 1]]), nearest_photos(index, vectors)
    chosen = fit(FREE, index, vectors, candidates, truth, neighbours, coarser, alone(200))
    assert chosen["max_move_km"] == STAY_KM and chosen["gate_similarity"] > 1
    refined = refine(index, vectors, candidates, chosen["temperature"], chosen["max_move_km"])
    np.testing.assert_array_equal(refined.latitude[:, 0], candidates.latitude[:, 0])
    assert chosen["mean_log"]["refined"] == chosen["mean_log"]["classifier"]
