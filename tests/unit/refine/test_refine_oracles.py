"""Refinement and readouts against loops that share no code with them, also exactly on their limits."""

import numpy as np
import pandas as pd
import pytest

from homing.refine import fit as fitting
from homing.refine import index as building
from homing.refine import readout, retrieve, search
from homing.refine.fit import SURE, errors_km, fit, fit_gate, is_clear_gain, loss
from homing.refine.index import RefineIndex, build_index, cluster_places, unit_length
from homing.refine.readout import best_score, hierarchical, median_point, mode_mean, nodes_above
from homing.refine.retrieve import InvertedLists, Neighbours, build_lists, gated, nearest_photos
from homing.refine.search import Candidates, refine

EARTH_KM = 6371.0088


def km(latitude, longitude, other_latitude, other_longitude):
    """Spherical law of cosines in 80-bit arithmetic."""
    a, b = np.radians(np.longdouble(latitude)), np.radians(np.longdouble(other_latitude))
    turn = np.radians(np.longdouble(other_longitude) - np.longdouble(longitude))
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(turn)
    return np.asarray(EARTH_KM * np.arccos(np.clip(cosine, -1, 1)), dtype=float)


def vector(latitude, longitude):
    a, b = np.radians(latitude), np.radians(longitude)
    return np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    """200 photos with 7 candidates some 100 km apart, best first."""
    rng = np.random.default_rng(11)
    latitude = rng.uniform(-70, 70, (200, 1)) + rng.normal(0, 1, (200, 7))
    longitude = rng.uniform(-170, 170, (200, 1)) + rng.normal(0, 1, (200, 7))
    probability = np.sort(rng.dirichlet(np.full(8, 0.7), 200)[:, :7], axis=1)[:, ::-1]
    cells = np.array([rng.permutation(40)[:7] for _ in range(200)])
    return Candidates(cells, probability, latitude, longitude)


def rows(candidates: Candidates):
    """Cells, probabilities, latitudes, longitudes of each photo."""
    return zip(candidates.cell_id, candidates.probability, candidates.latitude, candidates.longitude, strict=True)


@pytest.mark.parametrize("radius_km", [40.0, 120.0, 300.0])
def test_the_mode_is_that_of_a_loop(candidates, radius_km):
    found = mode_mean(candidates, radius_km)
    for photo, (cells, probability, latitude, longitude) in enumerate(rows(candidates)):
        apart = np.array([km(*place, latitude, longitude) for place in zip(latitude, longitude, strict=True)])
        density = [sum(probability * np.exp(-((away / radius_km) ** 2) / 2)) for away in apart]
        near = apart[int(np.argmax(density))] <= radius_km
        mean = sum(share * vector(*place) for share, *place in zip(probability[near], latitude[near], longitude[near],
                                                                   strict=True))  # fmt: skip
        mean /= np.linalg.norm(mean)
        assert vector(found.latitude[photo, 0], found.longitude[photo, 0]) == pytest.approx(mean, abs=1e-9)
        beside = int(np.argmin(km(found.latitude[photo, 0], found.longitude[photo, 0], latitude, longitude)))
        assert (found.cell_id[photo, 0], found.probability[photo, 0]) == (cells[beside], probability[beside])


def test_a_candidate_just_within_the_radius_of_the_mode_counts_and_one_just_beyond_does_not():
    degree = np.radians(1) * EARTH_KM
    pair = Candidates(np.array([[0, 1]]), np.array([[0.6, 0.4]]), np.zeros((1, 2)), np.array([[0.0, 1.0]]))
    assert mode_mean(pair, degree * 1.0001).longitude[0, 0] == pytest.approx(0.4, abs=1e-3)
    assert mode_mean(pair, degree * 0.9999).longitude[0, 0] == pytest.approx(0, abs=1e-9)


def test_the_best_score_is_that_of_a_loop_and_of_equals_the_first(candidates):
    for radius_km in (None, 100.0):
        found = best_score(candidates, radius_km)
        for photo, (cells, probability, latitude, longitude) in enumerate(rows(candidates)):
            worth = []
            for place in zip(latitude, longitude, strict=True):
                away = km(*place, latitude, longitude)
                worth.append(sum(probability * (np.exp(-away / 1492.7) if radius_km is None else away <= radius_km)))
            best = int(np.argmax(np.array(worth) > max(worth) - 1e-12))
            assert found.cell_id[photo, 0] == cells[best]


def test_a_candidate_with_more_than_half_of_the_probability_is_the_median(candidates):
    heavy = Candidates(candidates.cell_id, np.tile([0.52, *[0.08] * 6], (200, 1)), candidates.latitude,
                       candidates.longitude)  # fmt: skip
    found = median_point(heavy)
    away = km(found.latitude[:, 0], found.longitude[:, 0], heavy.latitude[:, 0], heavy.longitude[:, 0])
    assert away.max() < 0.01 and (found.cell_id[:, 0] == heavy.cell_id[:, 0]).all()


def test_the_median_of_three_sees_each_pair_under_120_degrees():
    """Torricelli: of a triangle without a wide angle. Within 1 km of it on sides of 300 km."""
    places = np.array([(50.0, 10.0), (50.0, 14.0), (52.5, 12.0)])
    three = Candidates(np.arange(3)[None], np.full((1, 3), 1 / 3), *places.T[:, None, :])
    found = median_point(three)
    at = vector(found.latitude[0, 0], found.longitude[0, 0])
    towards = np.array([vector(*place) - at * (vector(*place) @ at) for place in places])
    towards /= np.linalg.norm(towards, axis=1)[:, None]
    cosines = [towards[0] @ towards[1], towards[1] @ towards[2], towards[2] @ towards[0]]
    assert cosines == pytest.approx([-0.5] * 3, abs=1e-3)


def test_levels_are_added_as_in_a_loop(candidates):
    rng = np.random.default_rng(5)
    regions, countries = rng.integers(0, 9, 40), np.arange(9) // 3
    table = pd.DataFrame(
        [(0, node, None) for node in range(3)]
        + [(1, node, countries[node]) for node in range(9)]
        + [(2, node, regions[node]) for node in range(40)],
        columns=["level", "node", "parent"],
    ).sample(frac=1, random_state=1)
    coarser = nodes_above(table)
    assert coarser.tolist() == [regions.tolist(), countries[regions].tolist()]
    for weight in (0.3, 1.0):
        found = hierarchical(candidates, coarser, weight)
        for photo, (cells, probability, *_) in enumerate(rows(candidates)):
            score = np.log(probability)
            for nodes in coarser:
                score = score + weight * np.log([probability[nodes[cells] == nodes[cell]].sum() for cell in cells])
            assert found.cell_id[photo, 0] == cells[int(np.argmax(score))]


def test_blocks_of_photos_change_no_readout(candidates, monkeypatch):
    coarser = np.arange(40)[None] // 7
    readouts = (lambda: mode_mean(candidates, 120), lambda: best_score(candidates), lambda: median_point(candidates),
                lambda: hierarchical(candidates, coarser, 0.5))  # fmt: skip
    whole = [answer() for answer in readouts]
    monkeypatch.setattr(readout, "BLOCK", 7)
    for one, again in zip(whole, [answer() for answer in readouts], strict=True):
        np.testing.assert_array_equal(one.cell_id, again.cell_id)
        np.testing.assert_array_equal(one.probability, again.probability)
        # A median is iterated until the last photo of its block stands still: some photos go some metres further.
        np.testing.assert_allclose(one.latitude, again.latitude, atol=2e-3)
        np.testing.assert_allclose(one.longitude, again.longitude, atol=2e-3)


def index_of(places: np.ndarray, vectors: np.ndarray, cells: np.ndarray) -> RefineIndex:
    photos = pd.DataFrame({"photo_id": [f"p{number:04d}" for number in range(len(places))], "cell_id": cells,
                           "latitude": places[:, 0], "longitude": places[:, 1]})  # fmt: skip
    return build_index(photos, vectors, [3, 0.15])


@pytest.fixture(scope="module")
def scattered():
    """60 training photos, each a prototype of its own, in 6 cells; their places, embeddings and index."""
    rng = np.random.default_rng(12)
    places = np.stack([rng.uniform(-60, 60, 60), rng.uniform(-170, 170, 60)], axis=1)
    vectors = rng.normal(size=(60, 12)).astype(np.float32)
    return places, vectors, index_of(places, vectors, np.arange(60) // 10)


def asked_about(scattered, count: int = 30):
    rng = np.random.default_rng(13)
    _, vectors, _ = scattered
    cells = np.array([rng.permutation(6)[:3] for _ in range(count)])
    probability = np.sort(rng.dirichlet(np.ones(4), count)[:, :3], axis=1)[:, ::-1]
    asked = Candidates(cells, probability, rng.uniform(-60, 60, (count, 3)), rng.uniform(-170, 170, (count, 3)))
    return vectors[rng.integers(0, 60, count)] + rng.normal(0, 0.3, (count, 12)), asked


def test_blocks_of_photos_change_nothing(scattered, monkeypatch):
    vectors, asked = asked_about(scattered)
    whole, neighbours = refine(scattered[2], vectors, asked, 0.3, 5000), nearest_photos(scattered[2], vectors)
    monkeypatch.setattr(search, "BLOCK", 7)
    monkeypatch.setattr(retrieve, "BLOCK", 11)
    monkeypatch.setattr(retrieve, "QUERY_BLOCK", 7)
    pieces, again = refine(scattered[2], vectors, asked, 0.3, 5000), nearest_photos(scattered[2], vectors)
    for name in ("cell_id", "latitude", "longitude"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))
    np.testing.assert_allclose(whole.probability, pieces.probability, rtol=1e-5)
    np.testing.assert_array_equal(neighbours.row, again.row)


def test_a_move_of_exactly_the_largest_is_taken(scattered):
    vectors, asked = asked_about(scattered)
    free = refine(scattered[2], vectors, asked, 0.3)
    moved = errors_km(free, np.stack([asked.latitude[:, 0], asked.longitude[:, 0]], axis=1))
    largest = float(np.sort(moved)[15])
    held = refine(scattered[2], vectors, asked, 0.3, largest)
    is_moved = held.latitude[:, 0] == free.latitude[:, 0]
    np.testing.assert_array_equal(is_moved, moved <= largest)
    assert is_moved.sum() == 16


def test_a_cell_without_prototypes_scores_as_one_at_the_median_distance(scattered):
    _, vectors, index = scattered
    asked = Candidates(
        np.array([[2, 99, 4]]), np.array([[0.5, 0.3, 0.2]]), np.zeros((1, 3)), np.array([[1.0, 2.0, 3.0]])
    )
    query = vectors[:1] + 0.2
    unit = (query - vectors.mean(axis=0))[0].astype(float)
    unit /= np.linalg.norm(unit)
    apart = {
        cell: np.linalg.norm(index.prototype_vectors[index.prototypes["cell_id"] == cell] - unit, axis=1)
        for cell in (2, 4)
    }
    nearest = [apart[2].min(), np.median(np.concatenate([apart[2], apart[4]])), apart[4].min()]
    weights = np.array([0.5, 0.3, 0.2]) * np.exp(-np.array(nearest) / 0.4)
    found = refine(index, query, asked, 0.4)
    order = np.argsort(-weights)
    assert found.cell_id[0].tolist() == np.array([2, 99, 4])[order].tolist()
    assert found.probability[0] == pytest.approx((weights / weights.sum())[order], rel=2e-3)
    assert found.longitude[0, found.cell_id[0].tolist().index(99)] == 2.0


def test_candidates_that_are_none_have_no_probability_and_move_nowhere(scattered):
    empty = Candidates(np.full((2, 2), -1), np.zeros((2, 2)), np.ones((2, 2)), np.ones((2, 2)))
    found = refine(scattered[2], scattered[1][:2], empty, 0.3)
    assert (found.probability == 0).all() and (found.latitude == 1).all() and (found.cell_id == -1).all()


def test_a_vector_of_zeros_stays_zero():
    assert unit_length(np.array([[0.0, 0], [3, 4]])).tolist() == [[0, 0], [0.6, 0.8]]


def test_as_many_photos_as_make_a_cluster_are_none_and_one_more_is():
    """OPTICS needs more photos than `min_samples`; a cell of that many is left to single photos."""
    latitude = np.array([0, 1e-6, 2e-6, 3e-6])
    assert cluster_places(latitude[:3], np.zeros(3), 3, 0.05).tolist() == [0, 1, 2]
    assert cluster_places(latitude, np.zeros(4), 3, 0.05).tolist() == [0, 0, 0, 0]


def test_prototypes_lie_at_the_mean_of_their_photos_and_count_them():
    rng = np.random.default_rng(3)
    towns = np.repeat([(10.0, 179.99), (10.0, 60.0), (-40.0, 60.0)], 9, axis=0)
    places = towns + rng.normal(0, 0.02, towns.shape)
    vectors = rng.normal(size=(27, 5)).astype(np.float32)
    index = index_of(places, vectors, np.repeat([4, 4, 9], 9))
    assert index.prototypes["prototype"].tolist() == list(range(len(index.prototypes)))
    assert index.prototypes["photos"].max() >= 4
    assert len(index.prototypes) < 27
    centred = vectors.astype(float) - vectors.mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=1)[:, None]
    for own in index.prototypes.itertuples():
        members = index.members[index.members["prototype"] == own.prototype]
        assert len(members) == own.photos
        numbers = members["photo_id"].str[1:].astype(int).to_numpy()
        assert {4, 9} >= {own.cell_id} and (np.repeat([4, 4, 9], 9)[numbers] == own.cell_id).all()
        mean = np.mean([vector(*place) for place in places[numbers]], axis=0)
        assert vector(own.latitude, own.longitude) == pytest.approx(mean / np.linalg.norm(mean), abs=1e-9)
        look = units[numbers].mean(axis=0)
        assert index.prototype_vectors[own.prototype] == pytest.approx(look / np.linalg.norm(look), abs=2e-3)
        np.testing.assert_allclose(index.member_vectors[members.index], units[numbers], atol=1e-3)


def test_blocks_of_vectors_change_nothing_in_the_index(monkeypatch):
    rng = np.random.default_rng(8)
    places = np.repeat(rng.uniform(-60, 60, (8, 2)), 9, axis=0) + rng.normal(0, 0.01, (72, 2))
    vectors = rng.normal(size=(72, 6)).astype(np.float32)
    whole = index_of(places, vectors, np.arange(72) // 18)
    assert whole.prototypes["photos"].max() > 5
    monkeypatch.setattr(building, "BLOCK", 5)
    pieces = index_of(places, vectors, np.arange(72) // 18)
    pd.testing.assert_frame_equal(whole.prototypes, pieces.prototypes)
    pd.testing.assert_frame_equal(whole.members, pieces.members)
    np.testing.assert_allclose(whole.member_vectors, pieces.member_vectors, atol=2e-3)
    np.testing.assert_allclose(whole.prototype_vectors, pieces.prototype_vectors, atol=2e-3)


def test_an_index_of_no_photos_answers_with_none():
    nothing = index_of(np.zeros((0, 2)), np.zeros((0, 6), np.float32), np.zeros(0, int))
    assert len(nothing.prototypes) == len(nothing.members) == 0
    assert nothing.prototype_vectors.shape == nothing.member_vectors.shape == (0, 6)
    assert nearest_photos(nothing, np.ones((2, 6))).row.tolist() == [-1, -1]


def test_of_equally_similar_photos_the_first_answers(monkeypatch):
    vectors = np.tile(np.array([[1.0, 0, 0], [0, 1, 0]], dtype=np.float32), (20, 1))
    places = np.stack([np.linspace(-60, 60, 40), np.linspace(-170, 170, 40)], axis=1)
    index = index_of(places, vectors, np.arange(40))
    for block in (retrieve.BLOCK, 3):
        monkeypatch.setattr(retrieve, "BLOCK", block)
        assert nearest_photos(index, vectors[:2]).row.tolist() == [0, 1]
    backwards = InvertedLists(
        np.array([[1.0, 0, 0], [0, 1, 0]], np.float32), np.arange(40)[::-1].copy(), np.array([0, 20, 40])
    )
    assert sorted(nearest_photos(index, vectors[:2], backwards).row % 2) == [0, 1]


def test_lists_hold_each_photo_at_its_nearest_centroid_and_are_searched_whole_when_few():
    rng = np.random.default_rng(6)
    vectors = unit_length(rng.normal(size=(900, 8))).astype(np.float16)
    lists = build_lists(vectors, seed=2)
    assert len(lists.centroids) == 31 and len(lists.starts) == 32
    similar = vectors.astype(np.float32) @ lists.centroids.T
    for number in range(31):
        own = lists.rows[lists.starts[number] : lists.starts[number + 1]]
        np.testing.assert_array_equal(own, np.flatnonzero(similar.argmax(axis=1) == number))
        if len(own):
            assert lists.centroids[number] @ unit_length(vectors[own].astype(float).sum(axis=0)) > 0.9
    places = np.stack([rng.uniform(-60, 60, 900), rng.uniform(-170, 170, 900)], axis=1)
    index = index_of(places, vectors.astype(np.float32), np.arange(900))
    lists = build_lists(index.member_vectors, seed=2)
    asked = rng.normal(size=(50, 8)).astype(np.float32)
    exact, probed = nearest_photos(index, asked), nearest_photos(index, asked, lists)  # 31 lists, 32 are searched
    np.testing.assert_array_equal(exact.row, probed.row)


def test_a_similarity_of_exactly_the_gate_opens_it(scattered):
    index = scattered[2]
    similarity = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0)), 0.9], dtype=np.float32)
    asked = Candidates(np.full((3, 2), 7), np.full((3, 2), 0.4), np.zeros((3, 2)), np.zeros((3, 2)))
    found = gated(asked, Neighbours(np.array([3, 4, 5]), similarity), index, 0.5)
    assert found.cell_id[:, 0].tolist() == [0, 7, 0] and found.probability[:, 0].tolist() == [0.4] * 3
    expected = index.members.loc[[3, 5], ["latitude", "longitude"]].to_numpy()
    np.testing.assert_array_equal(np.stack([found.latitude[[0, 2], 0], found.longitude[[0, 2], 0]], axis=1), expected)
    assert found.latitude[1, 0] == found.longitude[1, 0] == 0


def test_the_gate_is_the_best_of_all_similarities():
    rng = np.random.default_rng(9)
    similarity = rng.permutation(np.linspace(0.1, 0.99, 150)).astype(np.float32)
    found_km = np.where(similarity > 0.6, 1.0, 4000.0)
    otherwise_km = rng.uniform(100, 600, 150)
    for objective in ("median", "mean_log"):
        gate = fit_gate(similarity, found_km, otherwise_km, objective, np.full(150, -1))
        losses = {
            float(one): loss(np.where(similarity >= one, found_km, otherwise_km), objective) for one in similarity
        }
        assert loss(np.where(similarity >= gate, found_km, otherwise_km), objective) == min(losses.values())
    assert gate == min(float(one) for one in similarity if one > 0.6)


def test_losses_are_what_they_are_called():
    errors = np.array([0.0, np.e - 1, 10.0, 1000.0])
    assert loss(errors, "median") == pytest.approx((np.e - 1 + 10) / 2)
    assert loss(errors, "mean_log") == pytest.approx((0 + 1 + np.log(11) + np.log(1001)) / 4)


def test_a_gain_in_every_draw_is_clear_at_any_share_and_in_none_at_none():
    before, nobody = np.linspace(10, 500, 40), np.full(40, -1)
    assert is_clear_gain(before / 2, before, "mean_log", nobody, 1.0)
    assert not is_clear_gain(before, before, "mean_log", nobody, 1e-3)
    assert not is_clear_gain(before * 1.01, before, "median", nobody, 1e-3)


def test_photos_of_nobody_known_are_drawn_apart_and_of_one_photographer_together():
    """Gains of 30 in 40 photos: beyond chance when each is drawn by itself, and by chance when one took all of them."""
    before = np.full(40, 100.0)
    after = np.where(np.arange(40) < 30, 60.0, 140.0)
    assert is_clear_gain(after, before, "mean_log", np.full(40, -1), SURE)
    assert not is_clear_gain(after, before, "mean_log", np.where(np.arange(40) < 30, 0, 1), SURE)


def test_each_parameter_is_the_best_on_its_list(scattered):
    """By loops over the lists, on photos whose truth is the training photo that they look like."""
    places, vectors, index = scattered
    rng = np.random.default_rng(14)
    rows = rng.integers(0, 60, 80)
    truth = places[rows] + rng.normal(0, 0.05, (80, 2))
    cells = np.stack([rows // 10, (rows // 10 + 1) % 6, (rows // 10 + 3) % 6], axis=1)
    mean = np.array([places[np.arange(60) // 10 == cell].mean(axis=0) for cell in range(6)])[cells]
    asked = Candidates(cells, np.tile([0.4, 0.35, 0.2], (80, 1)), mean[..., 0], mean[..., 1])
    queries = vectors[rows] + rng.normal(0, 0.1, (80, 12))
    free = {"temperature": None, "mode_radius_km": None, "hierarchy_weight": None, "gate_similarity": 2.0,
            "objective": "median", "max_move_km": None}  # fmt: skip
    neighbours, coarser = nearest_photos(index, queries), np.array([[0, 0, 0, 1, 1, 1]])
    chosen = fit(free, index, queries, asked, truth, neighbours, coarser, np.full(80, -1))

    def first_best(values, answer):
        return min(values, key=lambda value: np.median(errors_km(answer(value), truth)))

    temperature = first_best(fitting.TEMPERATURES, lambda value: refine(index, queries, asked, value))
    refined = refine(index, queries, asked, temperature)
    assert chosen["temperature"] == temperature and chosen["max_move_km"] is None
    assert chosen["mode_radius_km"] == first_best(fitting.MODE_RADII_KM, lambda value: mode_mean(refined, value))
    assert chosen["median"]["refined"] == np.median(errors_km(refined, truth))
    assert chosen["median"]["classifier"] == np.median(errors_km(asked, truth)) and chosen["photos"] == 80
    gated_too = fit(
        free | {"gate_similarity": None}, index, queries, asked, truth, neighbours, coarser, np.full(80, -1)
    )
    found = index.members[["latitude", "longitude"]].to_numpy()[neighbours.row]
    found_km = km(found[:, 0], found[:, 1], truth[:, 0], truth[:, 1])
    expected = fit_gate(neighbours.similarity, found_km, errors_km(refined, truth), "median", np.full(80, -1))
    assert gated_too["gate_similarity"] == expected
