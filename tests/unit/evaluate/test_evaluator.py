"""`homing evaluate`: valid and invalid files, against pandas and known geography."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homing import tables
from homing.cli import main
from homing.errors import HomingError
from homing.evaluate.benchmarks import BENCHMARKS, names_of, recognise
from homing.evaluate.countries import continents, to_alpha3
from homing.evaluate.evaluation import Settings, evaluate, read_truth
from homing.evaluate.measures import Sampling
from homing.evaluate.published import published
from homing.evaluate.reading import Places, read_places
from homing.sphere import haversine_km

COUNT = 300


@pytest.fixture
def truth(tmp_path) -> pd.DataFrame:
    """A truth file and its frame: photographers with 10 photos each, two countries."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"photo_id": [f"p{number}" for number in range(COUNT)]})
    frame["latitude"], frame["longitude"] = rng.uniform(-55, 70, COUNT), rng.uniform(-180, 180, COUNT)
    frame["author"] = [f"a{number // 10}" for number in range(COUNT)]
    frame["country"] = ["FR"] * 200 + ["NA"] * 100
    frame.to_csv(tmp_path / "truth.csv", index=False)
    return frame


def guesses(truth: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    moved = (truth["latitude"] + rng.normal(0, 1, COUNT) * 10 ** rng.uniform(-3, 1, COUNT)).clip(-90, 90)
    return truth[["photo_id"]].assign(latitude=moved, longitude=truth["longitude"])


def run(folder: Path, predictions: pd.DataFrame, *options: str, name: str = "guess.csv") -> tuple[int, dict]:
    """Return the exit status of the command and its JSON."""
    if name.endswith(".csv"):
        predictions.to_csv(folder / name, index=False)
    else:
        predictions.to_parquet(folder / name)
    arguments = ["evaluate", str(folder / name), "--truth", str(folder / "truth.csv"), *options]
    status = main([*arguments, "--json", str(folder / "out.json")])
    return status, json.loads((folder / "out.json").read_text())


def test_metrics_of_a_valid_file_equal_those_of_pandas(truth, tmp_path, capsys):
    predictions = guesses(truth)
    shuffled = predictions.sample(frac=1, random_state=2)
    status, found = run(tmp_path, shuffled, "--radius", "25", "--radius", "3", "--draws", "200")
    error_km = pd.Series(haversine_km(*(frame[c] for frame in (truth, predictions) for c in ("latitude", "longitude"))))
    figures = found["figures"]
    assert status == 0 and found["problems"] == [] and found["answered"] == found["n"] == COUNT
    assert figures["median_km"] == pytest.approx(error_km.median()) and figures["mean_km"] == pytest.approx(
        error_km.mean()
    )
    assert figures["p90_km"] == pytest.approx(error_km.quantile(0.9))
    assert figures["within_25_km"] == (error_km <= 25).mean() and figures["within_3_km"] == (error_km <= 3).mean()
    assert figures["geoscore"] == pytest.approx((5000 * np.exp(-error_km / 1492.7)).mean())
    assert found["intervals"] == {"draws": 200, "seed": 0, "clusters_are": "photographers", "clusters": 30}
    by_country = error_km.groupby(truth["country"]).median()
    assert found["per_country"]["FRA"]["median_km"] == pytest.approx(by_country["FR"])
    assert found["per_country"]["NAM"]["n"] == 100  # "NA" is Namibia
    assert list(found["per_continent"]) == ["Europe", "Africa"]
    for name, (low, high) in figures["interval_95"].items():
        assert low <= figures[name] <= high
    text = capsys.readouterr().out
    assert "distance <= radius" in text and "within 25 km" in text and "200 bootstrap draws of 30 photographers" in text


def test_formats_and_names_of_columns_do_not_matter(truth, tmp_path):
    predictions = guesses(truth)
    _, plain = run(tmp_path, predictions, "--draws", "0")
    other = predictions.rename(columns={"photo_id": "IMG_ID", "latitude": "LAT", "longitude": "LON"})
    other["IMG_ID"] += ".jpg"
    ranked = pd.concat([predictions.assign(rank=0), predictions.assign(rank=1, latitude=0.0)]).sample(
        frac=1, random_state=1
    )
    ours = predictions.rename(columns={"photo_id": "photo"}).assign(rank=0)
    ours["photo"] = "some/folder/" + ours["photo"] + ".JPG"
    for frame, name in ((other, "b.csv"), (ranked, "c.parquet"), (ours, "d.csv")):
        status, found = run(tmp_path, frame, "--draws", "0", name=name)
        assert status == 0 and found["figures"] == pytest.approx(plain["figures"]), name


def test_invalid_rows_are_reported_and_the_others_scored(truth, tmp_path, capsys):
    frame = guesses(truth).astype(object)
    frame.loc[3, "latitude"] = "north"
    frame.loc[4, "longitude"] = np.nan
    frame.loc[5, "latitude"] = 123.0
    frame.loc[6, "photo_id"] = "p7"
    extra = pd.DataFrame({"photo_id": ["stranger"], "latitude": [1.0], "longitude": [2.0]})
    status, found = run(tmp_path, pd.concat([frame.drop(index=[8, 9]), extra]), "--draws", "0")
    kinds = {problem["kind"]: problem["count"] for problem in found["problems"]}
    assert kinds == {"repeated": 2, "no number": 2, "out of range": 1, "missing": 7, "extra": 1}
    assert status == 1 and found["answered"] == COUNT - 7
    err = capsys.readouterr().err
    assert "guess.csv: line 5: p3: latitude 'north'" in err and "line 7: p5: latitude '123.0'" in err
    assert "line 8: p7 is listed more than once" in err and "(stranger)" in err
    good = guesses(truth).drop(index=range(3, 10))
    _, clean = run(tmp_path, good, "--draws", "0")
    assert found["figures"] == clean["figures"]
    assert found["figures_of_answered"]["within_200_km"] * (COUNT - 7) == pytest.approx(
        found["figures"]["within_200_km"] * COUNT
    )


def test_unreadable_lines_are_reported(truth, tmp_path, capsys):
    text = guesses(truth).to_csv(index=False).splitlines()
    text[11] += ",7,8"
    (tmp_path / "guess.csv").write_text("\n".join(text) + "\n")
    assert main(["evaluate", str(tmp_path / "guess.csv"), "--truth", str(tmp_path / "truth.csv"), "--draws", "0"]) == 1
    err = capsys.readouterr().err
    assert "line 12: the line has 5 cells instead of 3" in err and "(p10)" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such table"),
        ("photo_id,latitude\np0,1\n", "no column for longitude .* it has photo_id, latitude"),
        ("photo_id,latitude,longitude,rank\np0,1,2,1\n", "no row of the predictions has rank 0"),
    ],
)
def test_unusable_files_end_with_one_line_of_error_and_status_2(truth, tmp_path, capsys, content, message):
    if content:
        (tmp_path / "guess.csv").write_text(content)
    arguments = ["evaluate", str(tmp_path / "guess.csv"), "--truth", str(tmp_path / "truth.csv")]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    with pytest.raises(HomingError, match=message):
        read_places(tmp_path / "guess.csv", "predictions")


def test_a_file_without_rows_is_wrong_at_every_radius(truth, tmp_path):
    status, found = run(tmp_path, guesses(truth).iloc[:0], "--draws", "0")
    assert status == 1 and found["answered"] == 0 and found["figures"]["within_2500_km"] == 0


def test_swapped_columns_are_noticed(truth, tmp_path, capsys):
    turned = guesses(truth).rename(columns={"latitude": "longitude", "longitude": "latitude"})
    status, found = run(tmp_path, turned, "--draws", "0")
    assert status == 1 and "swapped" in {problem["kind"] for problem in found["problems"]}
    west = truth["longitude"].abs() <= 90  # none is out of range, whichever way round
    truth[west].rename(columns={"latitude": "longitude", "longitude": "latitude"}).to_csv(tmp_path / "t.csv")
    with pytest.raises(HomingError, match=r"t.csv: latitude and longitude are swapped"):
        evaluate(read_places(tmp_path / "t.csv", "truth"), read_places(tmp_path / "guess.csv", "p"), Settings())


def test_the_number_of_photos_is_enforced(truth, tmp_path):
    status, found = run(tmp_path, guesses(truth), "--expect", "301", "--draws", "0")
    assert status == 1 and "not the 301" in found["problems"][0]["message"]
    assert run(tmp_path, guesses(truth), "--expect", "300", "--draws", "0")[0] == 0


def test_two_files_are_compared_photo_by_photo(truth, tmp_path, capsys):
    guesses(truth, seed=5).to_csv(tmp_path / "other.csv", index=False)
    status, found = run(tmp_path, guesses(truth), "--against", str(tmp_path / "other.csv"), "--draws", "300")
    against = found["against"]
    median = against["differences"]["median_km"]
    assert status == 0
    assert median["difference"] == found["figures"]["median_km"] - against["figures"]["median_km"]
    assert median["interval_95"][0] < median["difference"] < median["interval_95"][1]
    assert against["nearer_share"] + against["farther_share"] == pytest.approx(1)
    itself = run(tmp_path, guesses(truth), "--against", str(tmp_path / "guess.csv"), "--draws", "50")[1]["against"]
    assert all(entry["interval_95"] == [0, 0] for entry in itself["differences"].values())


def test_leaked_photos_are_scored_separately(truth, tmp_path):
    leaked = [f"p{number}" for number in range(60)]
    leaks = pd.DataFrame({"photo_id": "mine", "reason": "id", "benchmark": "b", "benchmark_photo_id": leaked})
    more = leaks.iloc[:10].assign(reason="photographer")
    tables.write(tmp_path / "leaks.parquet", pd.concat([leaks, more]), "leaks")
    predictions = guesses(truth)
    predictions.loc[:59, "latitude"] = truth["latitude"].iloc[:60]
    _, found = run(tmp_path, predictions, "--leaks", str(tmp_path / "leaks.parquet"), "--draws", "0")
    assert found["leaks"]["photos"] == 60 and found["leaks"]["by_reason"] == {"id": 60, "photographer": 10}
    assert found["leaks"]["figures_of_leaked"]["within_1_km"] == 1
    without = found["leaks"]["figures_without"]
    assert without["n"] == 240 and without["within_1_km"] < found["figures"]["within_1_km"]


def test_countries_of_answers_come_from_areas_or_the_file(truth, tmp_path):
    import geopandas as gpd
    import shapely

    halves = [shapely.box(-180, -90, 0, 90), shapely.box(0, -90, 180, 90)]
    areas = gpd.GeoDataFrame({"country": ["USA", "CHN"], "region_id": ["w", "e"]}, geometry=halves, crs="EPSG:4326")
    areas.to_parquet(tmp_path / "areas.parquet")
    truth["country"] = np.where(truth["longitude"] < 0, "US", "CN")
    truth.to_csv(tmp_path / "truth.csv", index=False)
    predictions = guesses(truth)
    predictions.loc[:29, "longitude"] *= -1
    _, found = run(tmp_path, predictions, "--areas", str(tmp_path / "areas.parquet"), "--draws", "0")
    assert found["figures"]["country_accuracy"] == found["figures"]["region_accuracy"] == 0.9
    named = predictions.assign(country=["USA"] * COUNT)
    _, found = run(tmp_path, named, "--draws", "0")
    assert found["figures"]["country_accuracy"] == (truth["country"] == "US").mean()
    assert found["per_country"]["USA"]["country_accuracy"] == 1 and found["per_country"]["CHN"]["country_accuracy"] == 0


def test_the_truth_takes_labels_and_the_split_from_our_tables(truth, tmp_path):
    half = pd.DataFrame({"photo_id": truth["photo_id"], "split": ["test", "train"] * 150})
    tables.write(tmp_path / "splits.parquet", half, "splits")
    labels = truth[["photo_id"]].assign(country="FRA", region_id="r")
    tables.write(tmp_path / "labels.parquet", labels, "labels")
    found = read_truth(tmp_path / "truth.csv", tmp_path / "labels.parquet", tmp_path / "splits.parquet", "test")
    assert len(found.frame) == 150 and set(found.frame["country"]) == {"FRA"} and set(found.frame["region"]) == {"r"}
    with pytest.raises(HomingError, match="in the set 'val'"):
        read_truth(tmp_path / "truth.csv", None, tmp_path / "splits.parquet", "val")


NAMES = {
    "im2gps": "{}_a1b2c3d4e5_12_99@N00",
    "im2gps3k": "{}_a1b2c3d4e5_12_99@N00",
    "yfcc4k": "{}",
    "yfcc26k": "45_77_{}",
    "osv5m": "1{}",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_is_known_by_its_number_and_names(name):
    benchmark = BENCHMARKS[name]
    ids = pd.Series(range(1_000_000_000, 1_000_000_000 + benchmark.photos)).map(NAMES[name].format)
    assert recognise(ids) is benchmark and recognise(ids.iloc[:-1]) is None
    assert recognise("x" + ids) is None


def benchmark_places(first: tuple[float, float]) -> Places:
    ids = ["1000269685_2af4719adb_1433_71449753@N00"] + [
        f"{number}_a1b2c3d4e5_1" for number in range(10**8, 10**8 + 2996)
    ]
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"photo_id": ids, "row": range(2997)})
    frame["latitude"], frame["longitude"] = rng.uniform(-50, 60, 2997), rng.uniform(-80, 80, 2997)
    frame.loc[0, ["latitude", "longitude"]] = first
    return Places("im2gps3k.csv", frame)


def test_known_faults_of_im2gps3k_files():
    right = benchmark_places((32.325436, -64.764404))
    more = pd.DataFrame({"photo_id": ["199384251_7860f20c04_1"], "latitude": [0.0], "longitude": [0.0], "row": [2997]})
    predictions = Places("p.csv", pd.concat([right.frame, more], ignore_index=True))
    found = evaluate(right, predictions, Settings(sampling=Sampling(draws=0)))
    assert found["benchmark"] == "IM2GPS3k" and found["problems"] == []  # 3,000 answers to 2,997 photos are no fault
    assert {row["system"]: row["within_25_km"] for row in found["published"]} == {"PIGEOTTO": 0.367, "Pinpoint": 0.474}
    with pytest.raises(HomingError, match="names swapped in its header"):
        evaluate(benchmark_places((-64.764404, 32.325436)), predictions, Settings())


def test_published_results_are_shown_for_the_whole_benchmark_only():
    part = benchmark_places((32.325436, -64.764404))
    part.frame = part.frame.iloc[:2990].reset_index(drop=True)
    found = evaluate(part, part, Settings(benchmark="im2gps3k", sampling=Sampling(draws=0)))
    assert found["published"] == [] and found["problems"][0]["kind"] == "number of photos"


def test_prefixes_of_the_archive_are_removed_from_ids():
    ids = pd.Series(["Paris_00001_123456789_a1b2c3d4e5_12_99@N00", "123456789_a1b2c3d4e5_12"])
    assert names_of(ids, BENCHMARKS["im2gps"]).tolist() == ["123456789_a1b2c3d4e5_12_99@N00", "123456789_a1b2c3d4e5_12"]


def test_published_rows_are_checked_and_have_sources():
    for benchmark in BENCHMARKS:
        for row in published(benchmark):
            shares = [row[name] for name in sorted(row, key=len) if name.startswith("within_")]
            assert row["source"] and row["leaks"] and all(0 < share < 1 for share in shares)
            assert shares == sorted(shares)
    assert published("im2gps") == published("yfcc26k") == []  # from memory, not checked
    assert published("osv5m")[0]["geoscore"] == 3963 and published("osv5m")[0]["country_accuracy"] == 0.829


def test_codes_and_continents():
    codes = pd.Series(["na", "FR", "USA", None, "", "Q1"])
    assert to_alpha3(codes).tolist()[:3] == ["NAM", "FRA", "USA"]
    assert to_alpha3(codes).isna().tolist() == [False, False, False, True, True, False]
    assert continents(pd.Series(["NAM", "USA", "Q1"])).tolist()[:2] == ["Africa", "North America"]
    sides = pd.read_csv(Path(__file__).resolve().parents[3] / "resources/driving_side.csv", keep_default_na=False)
    ours = sides.loc[~sides["iso_a3"].str.match("Z0"), "iso_a3"]
    assert continents(ours).notna().all()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_not_an_error(truth, tmp_path, unbuffered):
    """As with `| head -1`: nothing on stderr, and the status that the shell gives to other programs."""
    many = truth.assign(country=[f"C{number}" for number in range(COUNT)])  # more figures than a pipe holds
    many.to_csv(tmp_path / "truth.csv", index=False)
    many.to_csv(tmp_path / "guess.csv", index=False)
    options = ["--truth", str(tmp_path / "truth.csv"), "--json", "-", "--draws", "0", "--cluster", "photo"]
    command = [sys.executable, "-m", "homing.cli", "evaluate", str(tmp_path / "guess.csv"), *options]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141
