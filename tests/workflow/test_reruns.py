"""Partial re-runs: each change runs again what depends on it, and nothing else."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT, TINY, copy_repository, planned_rules, snakemake

from homing.config import configuration
from homing.plan.estimate import Request, make_plan
from homing.plan.rates import benchmark_seconds

pytestmark = pytest.mark.workflow

# What follows each stage, up to the report and the package.
SCORES = {"evaluate_predictions", "summarise_run", "make_report", "package_model", "all"}
READ_OUT = {"read_out_predictions"} | SCORES
REFINED = {"fit_refinement", "refine_predictions"} | READ_OUT
FINETUNED = {
    "finetune_geolocator", "embed_photos", "calibrate_classifier", "predict_photos", "build_refine_index",
} | REFINED  # fmt: skip
PRETRAINED = {"pretrain_clip"} | FINETUNED
CELLS = {"make_geocells", "compare_geocells", "report_geocells"} | FINETUNED
LABELLED = {"label_photos", "report_labels", "write_captions"} | PRETRAINED | CELLS
JOINED = {"import_photos", "assign_splits", "guess_baselines"} | LABELLED
STORED = {"store_photos"} | JOINED
IMPORTED = {"list_photos"} | STORED
RETRIEVED = {"retrieve_file", "prepare_boundaries"} | IMPORTED
REPORTED = {"make_report", "all"}
DIRECTORIES = {"grid", "shards", "pretrained", "finetuned", "refine_index", "model"}
GEOCELLS = "results/runs/demo/geocells/geocells.parquet"
LOSSES, KOPPEN = "src/homing/model/losses.py", "results/raw/koppen/toy/koppen_geiger.tif"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A checkout with a finished tiny run."""
    folder = copy_repository(tmp_path_factory.mktemp("reruns"))
    snakemake(folder, "--configfile", TINY, "--cores", 2)
    return folder


def config_override(text: str) -> Callable[[Path], list[str]]:
    """A change of configuration, given on the command line as a second file."""

    def change(folder: Path) -> list[str]:
        path = folder / "change.yaml"
        path.write_text(text)
        return [str(path)]

    return change


def edited(path: str, old: str, new: str) -> Callable[[Path], list[str]]:
    def change(folder: Path) -> list[str]:
        file = folder / path
        text = file.read_text()
        assert old in text, f"{path} no longer holds {old!r}"
        file.write_text(text.replace(old, new, 1))
        return []

    return change


def removed(path: str) -> Callable[[Path], list[str]]:
    def change(folder: Path) -> list[str]:
        target = folder / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        return []

    return change


def new_content(path: str) -> Callable[[Path], list[str]]:
    """Another sha256 in a manifest, as when an upstream file was replaced."""

    def change(folder: Path) -> list[str]:
        manifest = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps(manifest | {"sha256": "0" * 64}))
        return []

    return change


def touched(path: str) -> Callable[[Path], list[str]]:
    def change(folder: Path) -> list[str]:
        (folder / path).touch()
        return []

    return change


CHANGES = {
    "nothing": (lambda folder: [], set()),
    "toyplanet.seed": (config_override("toyplanet: {seed: 2}"), {"make_toyplanet"} | RETRIEVED),
    "shards.quality": (config_override("shards: {quality: 80}"), IMPORTED),
    "max_rejected_share": (config_override("max_rejected_share: 0.2"), IMPORTED),
    "a mirror, accepted licences": (config_override("mirror: .\naccept_licences: [gadm_levels]"), set()),
    "one more data set": (
        config_override("datasets: {mine: {adapter: csv_folder, table: photos.csv, images: photos}}"),
        set(),
    ),
    "decontaminate, without a benchmark": (
        config_override("decontaminate: {near_duplicate_bits: 6}"),
        {"summarise_run", "package_model"} | REPORTED,
    ),
    "labels.climate.nearest_km": (config_override("labels: {climate: {source: koppen/toy, nearest_km: 60}}"), LABELLED),
    "splits.test_share": (
        config_override("splits: {test_share: 0.2}"),
        {"assign_splits", "guess_baselines"} | PRETRAINED | CELLS,
    ),
    "geocells.max_photos": (config_override("geocells: {max_photos: 50}"), CELLS),
    "compare_geocells": (
        config_override("compare_geocells: [s2]"),
        {"compare_geocells", "report_geocells", "summarise_run", "package_model"} | REPORTED,
    ),
    "captions.climate": (config_override("captions: {climate: 0.5}"), {"write_captions"} | PRETRAINED),
    "pretrain.learning_rate": (config_override("pretrain: {learning_rate: 0.002}"), PRETRAINED),
    "finetune.tau_km": (config_override("finetune: {tau_km: 75}"), FINETUNED),
    "finetune.nodes (sizes the job only)": (config_override("finetune: {nodes: 2, processes_per_node: 2}"), set()),
    "refine.temperature": (config_override("refine: {temperature: 0.6}"), REFINED),
    "refine.readout": (config_override("refine: {readout: [mode, median]}"), READ_OUT),
    "evaluate.radii_km": (config_override("evaluate: {radii_km: [1, 100]}"), {"guess_baselines"} | SCORES),
    "a line of code in losses": (edited(LOSSES, "import torch", "import torch\n\nEXTRA = 1"), None),
    "a comment in losses": (edited(LOSSES, "import torch", "# why\nimport torch"), set()),
    "a line of code in the report": (
        edited("workflow/scripts/make_report.py", "with job", "EXTRA = 1\nwith job"),
        REPORTED,
    ),
    "a template of the report": (
        edited("src/homing/report/templates/style.css.j2", "16px", "17px"),
        REPORTED | {"report_labels", "report_geocells", "package_model"},
    ),
    "a comment in a script": (edited("workflow/scripts/make_geocells.py", "with job", "# why\nwith job"), set()),
    "a touched raw file": (touched(KOPPEN), set()),
    "a new koppen file": (new_content("results/raw/koppen/toy/manifests/koppen_geiger.tif.json"), LABELLED),
    "removed: the report": (removed("results/runs/demo/report.html"), REPORTED),
    "removed: the geocells, whose results are all there": (removed(GEOCELLS), set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_runs_what_depends_on_it_and_nothing_else(finished, tmp_path, name):
    change, expected = CHANGES[name]
    folder = tmp_path / "checkout"
    subprocess.run(["cp", "-a", finished, folder], check=True)
    overrides = change(folder)
    planned = planned_rules(folder, "--configfile", TINY, *overrides)
    if name == "a line of code in losses":
        assert {"finetune_geolocator", "pretrain_clip"} <= planned
        assert not planned & {"make_geocells", "label_photos", "import_photos", "assign_splits", "write_captions"}
    else:
        assert planned == expected


def test_a_removed_output_that_is_asked_for_is_made_again_with_its_page_alone(finished, tmp_path):
    folder = tmp_path / "checkout"
    subprocess.run(["cp", "-a", finished, folder], check=True)
    removed(GEOCELLS)(folder)
    assert planned_rules(folder, "geocells", "--configfile", TINY) == {
        "make_geocells",
        "compare_geocells",
        "report_geocells",
        "geocells",
    }


def test_the_plan_of_a_finished_run_is_empty_and_a_change_is_planned_from_what_was_measured(finished, tmp_path):
    nothing = make_plan(Request(finished, [str(TINY)]))
    assert nothing.jobs == [] and nothing.total().cpu_hours == 0
    (tmp_path / "more.yaml").write_text("pretrain: {epochs: 1000}")
    files = [str(TINY), str(tmp_path / "more.yaml")]
    plan = make_plan(Request(finished, files))
    lines = {line.rule: line for line in plan.rules}
    assert set(lines) == planned_rules(finished, "--configfile", *files)

    def measured_hours(rule):
        return benchmark_seconds(finished / f"results/benchmarks/demo/{rule}.tsv") / 3600

    assert lines["pretrain_clip"].rates == "measured here"
    assert lines["pretrain_clip"].longest_job_hours > 2 * measured_hours("pretrain_clip")
    assert lines["summarise_run"].longest_job_hours == pytest.approx(measured_hours("summarise_run"))


@pytest.mark.parametrize(
    "target", ["labels", "geocells", "pretrain", "embeddings", "finetune", "refine", "evaluate", "report"]
)
def test_each_named_target_stands_alone(finished, target):
    assert planned_rules(finished, target, "--configfile", TINY) <= {target}


def test_deciding_that_nothing_is_to_be_done_takes_less_than_5_seconds(tmp_path):
    """On the full-size configuration, with every file in place."""
    folder = copy_repository(tmp_path)
    config = ["--configfile", "config/pigeotto.yaml"]
    listed = snakemake(folder, "--dry-run", *config, "--quiet", "progress").stdout
    assert "import_photos" in listed
    for path in outputs(folder, config):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir() if target.name in DIRECTORIES else target.touch()
        os.utime(target, (1_700_000_000, 1_700_000_000))
    started = time.monotonic()
    output = snakemake(folder, "--dry-run", *config).stdout
    assert time.monotonic() - started < 5
    assert "Nothing to be done" in output


def outputs(folder: Path, config: list[str]) -> list[str]:
    """Every output file of the workflow, from Snakemake's own summary."""
    table = snakemake(folder, *config, "--summary").stdout
    return [line.split("\t")[0] for line in table.splitlines() if line.startswith("results/")]


def test_the_pigeotto_configuration_has_the_constants_of_the_paper():
    import yaml

    config = configuration.resolve(yaml.safe_load((ROOT / "config/pigeotto.yaml").read_text()))
    assert (config["geocells"]["min_photos"], config["geocells"]["max_photos"]) == (1000, 2000)
    assert config["finetune"]["tau_km"] == 65 and config["pretrain"]["global_batch"] == 1024
    assert config["refine"]["top_cells"] == 40
