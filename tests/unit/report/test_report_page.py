"""The report of a run: complete, offline, readable without colour or sight and on a phone; and what it says."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pages import Outline, Reader
from small_run import make_run

from homing.evaluate.published import comparable_results
from homing.report import countries, ladder
from homing.report.headline import table_of
from homing.report.inputs import Inputs
from homing.report.posteriors import posterior
from homing.report.report import render_report
from homing.sphere import haversine_km

SECTIONS = ("headline", "ladder", "countries", "arrows", "posteriors", "trust", "galleries", "tasks", "geocells",
            "training", "data", "use", "costs", "made")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Inputs:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(run) -> str:
    return render_report(run)


def section(page: str, name: str) -> str:
    return re.search(rf'<section id="{name}".*?</section>', page, re.S)[0]


def test_the_page_is_complete_escaped_and_loads_nothing(page):
    reader = Reader(page)
    assert not reader.open
    assert all(value.startswith(("data:image/", "#")) for value in reader.loaded)
    assert "<Beta>" not in page and "&lt;Beta&gt;" in page and "<4.0>" not in page
    assert "default-src 'none'" in page and len(page.encode()) < 15e6


def test_its_structure_can_be_heard_and_reached_with_the_keyboard(page):
    outline = Outline(page)
    levels = outline.headings
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert {"header", "nav", "main"} <= outline.landmarks
    assert outline.cells_without_scope == 0
    assert len(outline.ids) == len(set(outline.ids)) and set(outline.targets) <= set(outline.ids)
    assert [target for target in outline.targets if target in SECTIONS] == list(SECTIONS)
    assert all(Reader(page).pictures)
    assert page.count('class="scroll" tabindex="0" role="region" aria-label="') == page.count('class="scroll"')


def test_it_is_the_same_page_each_time(run, page):
    assert render_report(run) == page


def measured(page: str, folder: Path, width: int) -> int:
    """Return the width of the page in a browser window of that width, with all details open and no network."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.fail("no chromium") if os.environ.get("CI") else pytest.skip("no chromium: apt-get install chromium")
    unfolded = escape(page.replace("<details", "<details open"))
    script = "document.title = frames[0].innerWidth + ' ' + frames[0].document.documentElement.scrollWidth"
    frame = f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{unfolded}"></iframe>'
    (folder / "frame.html").write_text(f'<body onload="{script}">{frame}</body>', encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom"]
    command = [browser, *flags, "--host-resolver-rules=MAP * ~NOTFOUND", f"file://{folder}/frame.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    inner, scrolled = map(int, re.search(r"<title>(\d+) (\d+)</title>", done.stdout).groups())
    assert inner == width
    return scrolled


def test_on_a_phone_only_its_tables_scroll_sideways(page, tmp_path):
    assert measured(page, tmp_path, 360) <= 360


def test_every_readout_has_its_interval(run, page):
    text = section(page, "headline")
    low, high = run.test["readouts"]["refined"]["interval_95"]["within_750_km"]
    assert f"{100 * low:.1f} – {100 * high:.1f}" in text
    assert "Best constant guess" in text and "thumbnail" not in text  # which this run did not make


def test_published_systems_stand_beside_their_benchmark_alone(run):
    figures = run.test
    whole = render_report(replace(run, metrics=run.metrics | {"yfcc4k": figures | {"n": 4536}}))
    text = section(whole, "headline")
    assert "PIGEOTTO *" in text and "leaks: photographers shared with MP-16" in text and "23.7%" in text
    part = render_report(replace(run, metrics=run.metrics | {"yfcc4k": figures}))
    assert "PIGEOTTO" not in part and "published metrics are of all 4,536 of YFCC4k" in part
    assert "toy is not a public benchmark" in text
    assert comparable_results("im2gps", 237) == ([], "no published result on IM2GPS has been checked against its paper")
    assert [row["system"] for row in table_of("im2gps3k", figures | {"n": 2997})["published"]]


def test_the_ladder_names_every_rung_in_words(run, page):
    names = ("first_cell", "best_of_20_cells", "prototype_in_first_cell", "prototype_in_20_cells", "photo_in_true_cell")
    assert [ladder.title_of(name) for name in names] == [
        "Centroid of the first cell: the classifier’s answer",
        "Nearest centroid of the 20 best cells",
        "Nearest prototype in the first cell",
        "Nearest prototype in the 20 best cells",
        "Nearest training photo in the true cell",
    ]
    assert ladder.title_of("something_new") == "Something new"
    assert section(page, "ladder").count('<th scope="row">') == 1 + len(run.test["ceilings"])
    assert ladder.position(1) == 0 and ladder.position(20015) == pytest.approx(100)


def test_the_map_and_the_table_of_countries_agree(run, page):
    text = section(page, "countries")
    for code, figures in run.test["readouts"]["refined"]["per_country"].items():
        level = int(np.searchsorted(list(countries.LEVELS_KM), figures["median_km"]))
        assert re.search(rf'<path class="cell hatch-{level}"[^>]*><title>[^<]*{figures["n"]} photos', text), code
    assert text.count('<tr><th scope="row"') == 3 and text.count('class="label"') == 3


def test_regions_are_the_fewest_cells_and_hold_their_level(run):
    table = run.predictions["classifier"]
    for _, rows in table.groupby("photo_id"):
        found = posterior(rows, run.cells.table)
        for level, mask in found.regions.items():
            inside = found.probability[mask].sum()
            assert inside >= level or mask.all()
            assert mask.sum() == 1 or inside - found.probability[mask].min() < level


def test_failures_are_shown_with_similar_training_photos_and_credits(run, page):
    text = section(page, "galleries")
    assert "Confident and wrong" in text and "CC BY &lt;4.0&gt; · https://example.org/photo" in text
    places = run.members.set_index("photo_id")
    assert text.count('class="similar"') == text.count("<article")
    first = run.predictions["refined"].query("rank == 0").set_index("photo_id")
    error_km = haversine_km(*run.truth[["latitude", "longitude"]].to_numpy().T,
                            *first.loc[run.truth["photo_id"], ["latitude", "longitude"]].to_numpy().T)  # fmt: skip
    assert f"{int((error_km > 750).sum())} of {len(run.truth)} photos" in text and len(places)


def test_a_perfect_run_has_empty_galleries_and_says_so(tmp_path):
    run = make_run(tmp_path)
    truth = run.truth.merge(run.predictions["refined"].query("rank == 0")[["photo_id", "cell_id", "probability"]])
    perfect = replace(run, predictions=dict(run.predictions) | {"refined": truth.assign(rank=0)})
    text = section(render_report(perfect), "galleries")
    assert text.count(f"none of the {len(truth)} photos.") == 3 and "<article" not in text


def test_without_known_cells_the_page_has_no_ladder_and_no_reliability(run):
    text = render_report(replace(run, metrics={"test": run.test | {"ceilings": None, "confidence": None}}))
    assert 'id="ladder"' not in text and 'href="#trust"' not in text and not Reader(text).open
