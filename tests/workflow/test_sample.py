"""Real data on a small scale: real boundaries, rasters, coordinates and images through every rule."""

import json

import pytest
from checkout import copy_repository, snakemake

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def sample(tmp_path_factory, sample_data):
    folder = copy_repository(tmp_path_factory.mktemp("sample"))
    (folder / "fewer.yaml").write_text("compare_geocells: [kmeans]\n")  # the others are compared in unit tests
    settings = ["--configfile", "config/sample.yaml", "fewer.yaml", "--config", f"mirror={sample_data}"]
    snakemake(folder, *settings, "--cores", 2)
    return folder / "results/runs"


def summary(runs, run: str) -> dict:
    return json.loads((runs / run / "summary.json").read_text())


def test_the_random_split_is_learned(sample):
    found = summary(sample, "sample")
    assert 4000 < found["constant_guess_median_km"] < 6000
    assert found["median_km"] <= found["constant_guess_median_km"] / 3
    assert found["refined_median_km"] <= 250
    assert found["thumbnail_median_km"] > 0


def test_unseen_continents_are_better_than_the_constant_guess(sample):
    found = summary(sample, "sample_regions")
    assert found["median_km"] < found["constant_guess_median_km"]
    assert found["refined_median_km"] < found["constant_guess_median_km"]


def test_ground_photos_are_predicted(sample):
    metrics = json.loads((sample / "sample/metrics/ground.json").read_text())
    assert metrics["n"] == 111


def test_the_report_names_the_data_and_their_licences(sample):
    page = (sample / "sample/report.html").read_text(encoding="utf-8")
    for words in ("CC BY 4.0", "WorldClim", "ODbL", "NASA Blue Marble", "sample_regions"):
        assert words in page
