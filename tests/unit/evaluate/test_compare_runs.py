"""`homing compare`: metrics equal to the evaluator's on the photos that runs share, and their differences."""

import json

import numpy as np
import pandas as pd
import pytest
from pages import Outline, Reader
from small_run import make_run, write_run

from homing.cli import main
from homing.evaluate.evaluation import Sampling, Settings, evaluate
from homing.evaluate.reading import read_places
from homing.evaluate.runs import key_differences


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on the same photos, and one whose test photos are partly others."""
    folder = tmp_path_factory.mktemp("runs")
    inputs = make_run(folder)
    first = inputs.predictions["refined"]
    rng = np.random.default_rng(5)
    second = first.assign(latitude=(first["latitude"] + rng.normal(0, 8, len(first))).clip(-90, 90))
    ids = inputs.truth["photo_id"].tolist()
    changed = {"geocells": {"dataset": None, "min_photos": 30}}
    return {
        "folder": folder,
        "photos": ids,
        "a": write_run(folder, "a", inputs, first, ids),
        "b": write_run(folder, "b", inputs, second, ids, **changed),
        "c": write_run(folder, "c", inputs, second, ids[:20]),
        "none": write_run(folder, "none", inputs, second, ids[:0]),
    }


def compared(folder, *runs, options=()) -> dict:
    arguments = [*map(str, runs), "--json", str(folder / "out.json"), *options]
    assert main(["compare", *arguments]) == 0
    return json.loads((folder / "out.json").read_text())


def test_differences_are_those_of_the_evaluator(runs, tmp_path, capsys):
    found = compared(tmp_path, runs["a"], runs["b"], options=["--draws", "200"])
    photos = pd.read_parquet(runs["folder"] / "results/photos/toy/photos.parquet")
    photos.to_csv(tmp_path / "truth.csv", index=False)
    places = [read_places(runs[name] / "predictions/test/refined.parquet", "predictions") for name in "ba"]
    settings = Settings(sampling=Sampling(200), cluster="author")
    expected = evaluate(read_places(tmp_path / "truth.csv", "truth"), places[0], settings, places[1])
    (other,) = found["against"]
    assert found["runs"][1]["figures"] == expected["figures"]
    assert other["differences"] == expected["against"]["differences"]
    assert other["nearer_share"] == expected["against"]["nearer_share"] and other["shared"] == len(photos)
    text = capsys.readouterr().out
    assert "b against a: 45 photos in both; smaller errors in" in text and "geocells.min_photos  (absent)  30" in text


def test_runs_with_other_photos_are_compared_on_those_they_share(runs, tmp_path, capsys):
    found = compared(tmp_path, runs["b"], runs["c"], runs["a"], options=["--draws", "50"])
    assert [row["photos"] for row in found["runs"]] == [45, 20, 45]
    part = found["against"][0]
    assert (part["shared"], part["only_this"], part["only_first"]) == (20, 0, 25)
    assert part["differences"]["median_km"] == {"difference": 0, "interval_95": [0, 0]}  # the same answers
    assert "c against b: 20 photos in both (0 only in c, 25 only in b)" in capsys.readouterr().out


def test_photos_of_the_same_name_at_another_place_are_not_shared(runs, tmp_path, capsys):
    inputs = make_run(tmp_path / "other")
    truth = inputs.truth.assign(latitude=inputs.truth["latitude"] + 1)
    table = inputs.predictions["refined"]
    moved = write_run(tmp_path / "other", "d", type(inputs)(**vars(inputs) | {"truth": truth}), table, runs["photos"])
    found = compared(tmp_path, runs["a"], moved, options=["--draws", "0"])
    assert found["against"][0]["differences"] is None and found["against"][0]["shared"] == 0
    assert "0 photos in both" in capsys.readouterr().out


def test_the_page_is_complete_and_says_which_differences_are_significant(runs, tmp_path, capsys):
    compared(tmp_path, runs["a"], runs["b"], runs["c"], options=["--output", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    outline = Outline(page)
    assert not Reader(page).open and not Reader(page).loaded and outline.cells_without_scope == 0
    assert outline.headings == [1, 2, 2, 3, 3, 2, 2] and len(set(outline.ids)) == len(outline.ids)
    assert "✗ worse" in page and "not significant" in page and "geocells.min_photos" in page
    assert "25 only in a" in page and "the same commit and the same packages" in page


def test_keys_that_differ_are_named_with_the_values_of_all():
    rows = key_differences(["a", "b", "c"], [{"x": 1, "y": 2}, {"x": 1, "y": 3}, {"x": 1, "y": 2, "z": None}])
    assert rows == [{"key": "y", "values": {"a": 2, "b": 3, "c": 2}}, {"key": "z", "values": {"c": None}}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{a}"], "give two or more runs"),
        (["{a}", "{folder}/results"], "results: no finished run, it has no provenance.json"),
        (["{a}", "{folder}/nowhere"], "nowhere: no finished run, it is no folder"),
        (["{a}", "{b}", "--readout", "mode"], "mode.parquet: no such predictions; readouts: refined"),
        (["{a}", "{b}", "--set", "im2gps"], "no such predictions; photo sets of this run: test"),
        (["{a}", "{none}"], "refined.parquet: empty"),
        (["{a}", "{b}", "--output", "page.pdf"], "must end with .html"),
    ],
)
def test_invalid_comparisons_end_with_one_line_of_error(runs, capsys, arguments, message):
    assert main(["compare", *(argument.format(**runs) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
