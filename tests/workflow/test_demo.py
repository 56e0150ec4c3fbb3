"""The demo as shipped: from nothing to a trained geolocator, within the promised figures."""

import json
import os
import shutil
import subprocess
import sys

import guides
import numpy as np
import pytest
from checkout import snakemake
from PIL import Image

pytestmark = pytest.mark.workflow

TASKS = ("climate", "month", "temperature", "precipitation", "elevation", "population", "latitude", "longitude")


@pytest.fixture(scope="module")
def summary(finished_demo):
    return json.loads((finished_demo / "results/runs/demo/summary.json").read_text())


def test_the_geolocator_has_learned(summary):
    assert summary["median_km"] <= summary["constant_guess_median_km"] / 3
    assert summary["geocell_accuracy"] >= 10 * summary["geocell_chance"]
    assert summary["n_test"] >= 400 and summary["geocells"] >= 40


@pytest.mark.parametrize("task", TASKS)
def test_each_auxiliary_task_beats_its_constant_baseline(summary, task):
    assert summary[f"tasks.{task}.better"] is True


def test_it_fits_in_4_gb(summary):
    assert max(value for key, value in summary.items() if key.startswith("peak_mb.")) < 4000


def test_running_again_runs_nothing(finished_demo):
    assert "Nothing to be done" in snakemake(finished_demo, "--dry-run").stdout


def test_the_report_needs_no_network(finished_demo):
    page = (finished_demo / "results/runs/demo/report.html").read_text(encoding="utf-8")
    for opener in ('src="http', 'href="http://', "@import", "url(http", "<script src"):
        assert opener not in page


def test_snakemakes_own_report_holds_the_pages_and_figures(finished_demo, tmp_path, monkeypatch):
    """Built with the way to the network closed."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    snakemake(finished_demo, "--report", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    run = "results/runs/demo"
    for name in (
        f"{run}/report.html",
        f"{run}/geocells/report.html",
        f"{run}/summary.json",
        f"{run}/metrics/test.json",
    ):
        assert f'"{name}": ' in page, name
    assert '"results/labels/toy/report.html": ' in page
    assert "The report of run <em>demo</em>" in page and 'src="http' not in page


@pytest.mark.parametrize(("width", "height"), [(1280, 4000), (500, 6000)])
def test_the_report_opens_in_a_browser(finished_demo, tmp_path, width, height):
    """A picture of the page, also as wide as a phone: sections, maps and photos all the way down."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.fail("no chromium") if os.environ.get("CI") else pytest.skip("no chromium: apt-get install chromium")
    picture, page = tmp_path / "report.png", finished_demo / "results/runs/demo/report.html"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path}/profile"]
    command = [browser, *flags, f"--window-size={width},{height}", f"--screenshot={picture}", f"file://{page}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    image = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    inked = (np.abs(image - image[2, 2]).max(axis=2) > 30).mean(axis=1).reshape(-1, height // 20)
    assert image.shape[1] == width and (inked.max(axis=1) > 0.01).all(), "a large part of the page is empty"


def test_the_package_predicts(finished_demo, tmp_path):
    """`homing predict` on a photo of the toy planet, with nothing but the package folder."""
    import tarfile

    with tarfile.open(next((finished_demo / "results/photos/toy/shards").glob("*.tar"))) as shard:
        member = shard.next()
        (tmp_path / member.name).write_bytes(shard.extractfile(member).read())
    output = tmp_path / "answers.csv"
    command = [sys.executable, "-m", "homing.cli", "predict", tmp_path / member.name, "--model"]
    subprocess.run([*command, finished_demo / "results/runs/demo/model", "--output", output], check=True)
    header, *rows = output.read_text().splitlines()
    assert {"latitude", "longitude", "probability"} <= set(header.split(",")) and len(rows) >= 1


@pytest.mark.parametrize("name", ["share", "rerun", "report"])
def test_guides_go_on_from_the_demo(finished_demo, copy_of, name):
    """What its reader would type next; the second run of `report` shares the demo's photos and labels."""
    guides.follow(guides.GUIDES / f"{name}.md", copy_of(finished_demo))
