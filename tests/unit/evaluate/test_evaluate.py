"""The evaluator's rules, against plain loops and closed forms."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from homing.errors import HomingError
from homing.evaluate.baselines import constant_guess, guess_by_thumbnail, nearest_rows, thumbnail
from homing.evaluate.bootstrap import cluster_numbers, resample
from homing.evaluate.countries import locate_first_answers
from homing.evaluate.distances import FARTHEST_KM, distances_km, geoscores
from homing.evaluate.geocells import score_geocells
from homing.evaluate.leaks import leak_metrics
from homing.evaluate.measures import Sampling, by_group, differences, hit, measure, score, score_subset
from homing.evaluate.summary import durations, summarise
from homing.evaluate.tasks import score_tasks
from homing.jobs.provenance import git_commit, versions
from homing.photos.images import decode_image, encode_jpeg
from homing.sphere import haversine_km

RADII = [1, 25, 200]


@pytest.fixture
def truth() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = 200
    frame = pd.DataFrame({"photo_id": [f"p{number}" for number in range(count)]})
    frame["latitude"], frame["longitude"] = rng.uniform(-60, 60, count), rng.uniform(-180, 180, count)
    frame["author"] = [f"a{number // 20}" if number < 180 else None for number in range(count)]
    return frame


def near(truth: pd.DataFrame, spread: float) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    moved = truth["latitude"] + rng.normal(0, spread, len(truth))
    return truth[["photo_id", "longitude"]].assign(latitude=moved, rank=0)


def test_distances_are_those_of_the_first_answer_for_any_order_of_rows(truth):
    predictions = near(truth, 1.0)
    second = predictions.assign(rank=1, latitude=0.0)
    table = pd.concat([second, predictions]).sample(frac=1, random_state=3)
    expected = haversine_km(truth["latitude"], truth["longitude"], predictions["latitude"], predictions["longitude"])
    np.testing.assert_allclose(distances_km(truth, table), expected)
    np.testing.assert_allclose(distances_km(truth, predictions.drop(columns="rank")), expected)


def test_a_photo_without_an_answer_is_wrong_and_counted(truth):
    readouts = {"half": near(truth, 0.01).iloc[:80]}
    found = score(truth, readouts, RADII, seed=1)["half"]
    assert found["missing"] == 120 and found["median_km"] == pytest.approx(FARTHEST_KM)
    assert found["within_25_km"] == pytest.approx(80 / 200)


def test_an_answer_given_twice_is_an_error(truth):
    twice = pd.concat([near(truth, 1), near(truth, 1).iloc[:1]])
    with pytest.raises(HomingError, match="'p0' is answered more than once"):
        distances_km(truth, twice)


def test_a_radius_includes_its_border():
    found = measure(np.array([1.0, 25.0, 25.0000001, 199.0]), {}, RADII, np.arange(4), Sampling(draws=0)).values
    assert (found["within_1_km"], found["within_25_km"], found["within_200_km"]) == (0.25, 0.5, 1.0)


def test_geoscore_by_its_formula():
    np.testing.assert_allclose(geoscores(np.array([1492.7, 0.0])), [5000 * np.exp(-1), 5000])


def drawn_clusters(clusters: np.ndarray, draws: int, seed: int) -> list[np.ndarray]:
    """Return the photos of each draw, copied; the counts of clusters follow from the means of their indicators."""
    count = clusters.max() + 1
    shares, _ = resample(np.eye(count)[clusters], clusters, np.zeros(len(clusters)), [], draws, seed)
    rows = []
    for share in shares / np.bincount(clusters):
        times = np.round(share / share.sum() * count).astype(int)
        rows.append(np.repeat(np.arange(len(clusters)), times[clusters]))
    return rows


def test_draws_equal_those_of_copied_photos_for_any_number_of_workers():
    rng = np.random.default_rng(6)
    clusters = pd.factorize(rng.integers(0, 25, 300))[0]
    error_km, levels = rng.gamma(0.5, 800, 300).round(), [0.9, 0.0, 0.5, 0.25, 1.0]
    values = np.column_stack([error_km, error_km <= 200])
    means, quantiles = resample(values, clusters, error_km, levels, draws=200, seed=3)
    for row, photos in enumerate(drawn_clusters(clusters, 200, 3)):
        np.testing.assert_allclose(means[row], values[photos].mean(axis=0))
        np.testing.assert_allclose(quantiles[row], np.quantile(error_km[photos], levels))
    for workers in (2, 7):
        again = resample(values, clusters, error_km, levels, draws=200, seed=3, workers=workers)
        np.testing.assert_array_equal(again[0], means)
        np.testing.assert_array_equal(again[1], quantiles)


def test_cluster_counts_follow_a_multinomial_distribution():
    count, draws = 50, 20_000
    shares, _ = resample(np.eye(count), np.arange(count), np.zeros(count), [], draws, seed=9)
    times = shares * count
    assert np.allclose(times.sum(axis=1), count)
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=5 * np.sqrt((1 - 1 / count) / draws))
    covariance = np.cov(times.T)
    np.testing.assert_allclose(np.diag(covariance), 1 - 1 / count, rtol=0.06)
    apart = covariance[~np.eye(count, dtype=bool)]
    assert apart.mean() == pytest.approx(-1 / count, rel=0.05) and np.abs(apart).max() < 0.06


def test_intervals_are_wider_when_photographers_repeat_themselves():
    rng = np.random.default_rng(2)
    level = rng.uniform(10, 1000, 10)
    error_km = np.repeat(level, 20) * rng.uniform(0.9, 1.1, 200)
    authors = np.repeat(np.arange(10), 20)
    clustered, alone = (
        measure(error_km, {}, RADII, groups, Sampling(seed=1)).figures()["interval_95"]["mean_km"]
        for groups in (authors, np.arange(200))
    )
    assert clustered[0] < alone[0] < error_km.mean() < alone[1] < clustered[1]
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * error_km.std() / np.sqrt(200), rel=0.15)


def test_intervals_have_their_nominal_coverage():
    rng = np.random.default_rng(7)
    held = 0
    for trial in range(200):
        level = rng.normal(0, 1, 60)
        error_km = 500 + 100 * (np.repeat(level, 5) + rng.normal(0, 1, 300))
        bounds = measure(error_km, {}, [], np.repeat(np.arange(60), 5), Sampling(300, trial)).figures()["interval_95"]
        held += bounds["mean_km"][0] <= 500 <= bounds["mean_km"][1]
    assert 178 <= held <= 199  # 95 % of 200, within what chance and 60 clusters allow


def test_photos_without_a_photographer_are_their_own_clusters(truth):
    numbers = cluster_numbers(truth["author"])
    assert len(np.unique(numbers)) == 9 + 20 == numbers.max() + 1
    assert all(len(set(numbers[start : start + 20])) == 1 for start in range(0, 180, 20))


def test_differences_of_two_files_are_paired():
    rng = np.random.default_rng(8)
    error_km = rng.gamma(0.5, 2000, 400)
    better = error_km * 0.9
    groups = np.arange(400) // 4
    first, second = (measure(one, {}, RADII, groups, Sampling(seed=1)) for one in (better, error_km))
    found = differences(first, second)["mean_km"]
    assert found["difference"] == pytest.approx(-0.1 * error_km.mean())
    assert found["interval_95"][1] < 0
    alone = first.figures()["interval_95"]["mean_km"]
    assert found["interval_95"][1] - found["interval_95"][0] < 0.15 * (alone[1] - alone[0])


def test_groups_are_measured_as_if_alone(truth):
    error_km = np.random.default_rng(9).gamma(0.5, 800, 200)
    names = pd.Series(np.where(np.arange(200) < 150, "AAA", "BBB"), dtype="str").where(np.arange(200) < 190)
    known = {"country_accuracy": hit(pd.Series(["AAA"] * 199 + [None]), names)}
    found = by_group(names, error_km, known, RADII, np.arange(200), Sampling(seed=4))
    assert list(found) == ["AAA", "BBB"] and (found["AAA"]["n"], found["BBB"]["n"]) == (150, 40)
    assert (found["AAA"]["country_accuracy"], found["BBB"]["country_accuracy"]) == (1, 0)
    alone = measure(error_km[150:190], {}, RADII, np.arange(40), Sampling(seed=4)).figures()
    assert found["BBB"]["median_km"] == np.median(error_km[150:190])
    assert found["BBB"]["interval_95"]["median_km"] == alone["interval_95"]["median_km"]
    few = by_group(names, error_km, {}, RADII, np.zeros(200, dtype=int), Sampling())
    assert "interval_95" not in few["AAA"] and few["AAA"]["clusters"] == 1


def test_the_country_of_an_answer_is_that_of_its_place_not_of_its_cell(truth):
    """A cell of a lattice may cross a border, so the cell does not give the country."""
    looked_up = []

    def locate(latitude: np.ndarray, longitude: np.ndarray) -> pd.DataFrame:
        looked_up.append(len(latitude))
        country = np.where(longitude < 0, "WWW", np.where(latitude > 50, None, "EEE"))  # nobody's in the north-east
        region = np.where(country == None, None, np.where(latitude > 0, "north", "south"))  # noqa: E711
        return pd.DataFrame({"country": country, "region": region})

    known = truth.join(locate(truth["latitude"], truth["longitude"])).rename(columns={"region": "region_id"})
    near_border = near(truth, 20.0).assign(longitude=truth["longitude"] + 30, cell_id=7)
    second = near_border.assign(rank=1, latitude=0.0)
    one = truth[["photo_id"]].assign(rank=0, latitude=10.0, longitude=10.0)
    readouts = {"classifier": pd.concat([near_border, second]), "same": near_border, "constant": one}
    looked_up.clear()
    found = score(known, locate_first_answers(readouts, locate), RADII, seed=0)
    assert looked_up == [201]
    right = locate(near_border["latitude"], near_border["longitude"])
    counted = known["country"].notna()
    for name, label in (("country", "country"), ("region", "region_id")):
        expected = (right[name] == known[label])[counted].mean()
        assert found["classifier"][f"{name}_accuracy"] == found["same"][f"{name}_accuracy"] == pytest.approx(expected)
    both = (known["country"] == "EEE") & (known["region_id"] == "north")
    assert found["constant"]["region_accuracy"] == pytest.approx((known["region_id"] == "north")[counted].mean())
    assert found["constant"]["country_accuracy"] > both.mean()


def test_leaked_photos_are_counted_by_reason_and_scored_separately(truth):
    leaks = pd.DataFrame(
        {
            "benchmark_photo_id": ["p1", "p1", "p2", "p2", "elsewhere"],
            "reason": ["id", "photographer", "photographer", "photographer", "near_duplicate"],
        }
    )
    answers = {"classifier": near(truth, 1.0).assign(latitude=lambda t: np.where(t.index < 3, truth["latitude"], 0.0))}
    found = leak_metrics(
        leaks,
        truth["photo_id"],
        partial(score_subset, truth, answers, RADII),
        ["id", "photographer", "place_and_time", "near_duplicate"],
    )
    assert found["by_reason"] == {"id": 1, "photographer": 2, "place_and_time": 0, "near_duplicate": 0}
    assert (found["photos"], found["share"]) == (2, 0.01)
    assert found["figures_of_leaked"]["n"] == 2 and found["figures_of_leaked"]["classifier"]["median_km"] == 0
    others = haversine_km(truth["latitude"], 0, 0.0, 0)[[row for row in range(200) if row not in (1, 2)]]
    others[0] = 0
    assert found["figures_without"]["classifier"]["median_km"] == pytest.approx(np.median(others))
    assert "figures_of_leaked" not in leak_metrics(
        leaks[4:], truth["photo_id"], partial(score_subset, truth, answers, RADII)
    )


def test_the_constant_guess_is_the_best_of_the_training_places():
    rng = np.random.default_rng(4)
    latitude, longitude = rng.normal(40, 20, 150), rng.normal(10, 60, 150)
    place = constant_guess(latitude, longitude, seed=0)
    medians = [np.median(haversine_km(a, b, latitude, longitude)) for a, b in zip(latitude, longitude, strict=True)]
    best = int(np.argmin(medians))
    assert place == (latitude[best], longitude[best])


def test_thumbnails_find_the_nearest():
    rng = np.random.default_rng(5)
    images = [Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(20)]
    rows = np.stack([thumbnail(image) for image in images])
    assert rows.shape == (20, 768) and rows.min() >= 0 and rows.max() <= 1
    queries = rows[[7, 3]] + rng.normal(0, 0.01, (2, 768))
    expected = [np.linalg.norm(rows - query, axis=1).argmin() for query in queries]
    assert nearest_rows(queries, rows).tolist() == expected == [7, 3]


def test_geocell_accuracy():
    table = pd.DataFrame(
        {"photo_id": ["a"] * 6 + ["b"] * 6, "rank": list(range(6)) * 2, "cell_id": [3, 1, 2, 4, 5, 6] * 2}
    )
    assignments = pd.DataFrame({"photo_id": ["a", "b", "c"], "cell_id": [3, 6, 1]})
    found = score_geocells(table, assignments, 50)
    assert (found["accuracy"], found["top5"], found["chance"], found["n"]) == (0.5, 0.5, 0.02, 2)
    assert score_geocells(table, assignments.iloc[2:], 50)["accuracy"] is None


def labels(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"photo_id": [f"p{number}" for number in range(count)]})
    frame["latitude"], frame["longitude"] = rng.uniform(-60, 60, count), rng.uniform(-180, 180, count)
    frame["climate"] = pd.array(rng.choice([1, 4, 26], count, p=[0.5, 0.3, 0.2]), dtype="Int8")
    frame["month"] = pd.array([None] * count, dtype="Int8")
    for column in ("temperature_c", "temperature_range_c", "precipitation_mm", "elevation_m", "population_per_km2"):
        frame[column] = rng.gamma(2, 50, count)
    return frame.assign(precipitation_range_mm=np.nan)


def test_tasks_against_their_constants():
    training, truth = labels(300, 1), labels(80, 2)
    perfect = score_tasks(truth, truth, training)
    assert perfect["climate"]["accuracy"] == 1 and perfect["temperature"]["rmse"] == 0
    assert perfect["latitude"]["mean_km"] == pytest.approx(0, abs=1e-6)
    assert all(entry["better"] is True for name, entry in perfect.items() if name != "month")
    assert perfect["month"] == {"metric": "accuracy", "accuracy": None, "baseline": None, "better": None, "n": 0}
    baseline = perfect["temperature"]["baseline"]
    expected = [
        np.sqrt(((training[name].mean() - truth[name]) ** 2).mean()) / training[name].std(ddof=0)
        for name in ("temperature_c", "temperature_range_c")
    ]
    assert baseline == pytest.approx(np.mean(expected))
    assert perfect["climate"]["baseline"] == pytest.approx((truth["climate"] == training["climate"].mode()[0]).mean())
    shuffled = truth.assign(
        **{name: truth[name].sample(frac=1, random_state=0).to_numpy() for name in truth.columns[1:]}
    )
    poor = score_tasks(truth, shuffled, training)
    assert not any(poor[name]["better"] for name in ("temperature", "elevation", "population"))


def test_a_task_with_missing_answers_is_scored_on_what_is_known():
    training, truth = labels(300, 1), labels(80, 2)
    truth.loc[:10, "climate"] = None
    assert score_tasks(truth, truth, training)["climate"]["n"] == 69


def test_the_summary_has_flat_names_with_units(truth):
    readouts = {name: near(truth, 1) for name in ("classifier", "refined", "constant")}
    metrics = {
        "n": 200, "readouts": score(truth, readouts, RADII, 1),
        "geocell": {"cells": 50, "accuracy": 0.5, "top5": 0.8, "chance": 0.02, "n": 200},
        "tasks": score_tasks(labels(80, 2), labels(80, 2), labels(300, 1)),
    }  # fmt: skip
    found = summarise("demo", metrics, {"ground": metrics})
    wanted = "median_km refined_median_km constant_guess_median_km within_25_km geocell_accuracy geocell_chance"
    assert {*wanted.split(), "tasks.climate.accuracy", "tasks.climate.baseline", "benchmarks.ground.n"} <= set(found)
    assert not any(isinstance(value, (dict, list)) for value in found.values())
    json.dumps(found, allow_nan=False)


def test_durations_count_the_run_and_what_it_shares(tmp_path):
    def benchmark(path: str, seconds: float, megabytes: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"s\tmax_rss\n{seconds}\t{megabytes}\n")

    benchmark("demo/finetune_geolocator.tsv", 10, "900.5")
    benchmark("demo/predict_photos/test.tsv", 2, "100")
    benchmark("demo/predict_photos/ground.tsv", 3, "300")
    benchmark("other/finetune_geolocator.tsv", 99, "1")
    benchmark("label_photos/toy.tsv", 4, "NA")
    benchmark("label_photos/unused.tsv", 50, "NA")
    benchmark("retrieve_file/koppen/toy/koppen.tif.tsv", 1, "7")
    found = durations(tmp_path, "demo", ["toy", "koppen/toy"])
    assert found == {
        "seconds.finetune_geolocator": 10, "seconds.label_photos": 4, "seconds.predict_photos": 5,
        "seconds.retrieve_file": 1, "peak_mb.finetune_geolocator": 900, "peak_mb.predict_photos": 300,
        "peak_mb.retrieve_file": 7,
    }  # fmt: skip


def test_provenance(tmp_path):
    assert versions()["numpy"] == np.__version__
    assert git_commit(tmp_path) is None


class Encoded(dict[str, bytes]):
    """Encoded images by photo_id."""

    read = dict.__getitem__


def test_thumbnails_answer_with_the_place_of_the_most_similar_training_photo():
    rng = np.random.default_rng(10)
    pixels = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    training = pd.DataFrame(
        {"photo_id": [f"t{n}" for n in range(12)], "latitude": range(12), "longitude": range(20, 32)}
    )
    known, asked = Encoded(), Encoded()
    for number in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11):  # t4 has no image
        known[f"t{number}"] = encode_jpeg(Image.fromarray(pixels[number]), 32, 90)
    for number in (7, 3):
        asked[f"q{number}"] = encode_jpeg(Image.fromarray(pixels[number]), 32, 60)
    found = guess_by_thumbnail(["q7", "q5", "q3"], asked, training, known, decode_image)
    assert found.to_dict("list") == {
        "photo_id": ["q7", "q3"],
        "rank": [0, 0],
        "latitude": [7, 3],
        "longitude": [27, 23],
    }
