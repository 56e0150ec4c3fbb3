"""Partial re-runs: each change runs again what depends on it, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT, TINY, copy_repository, planned_rules, snakemake

from homing.config import configuration
from homing.plan.estimate import Request, make_plan
from homing.plan.jobs import planned_jobs
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
CODED = {"prepare_boundaries"} | LABELLED  # what depends on the areas and their codes
DIRECTORIES = {"grid", "shards", "pretrained", "finetuned", "refine_index", "model"}
GEOCELLS, MANIFEST = "results/runs/demo/geocells/geocells.parquet", "results/runs/demo/manifests/make_geocells.json"
LARGE = {"every result touched", "results that were copied", "nothing"}
LOSSES, KOPPEN = "src/homing/model/losses.py", "results/raw/koppen/toy/koppen_geiger.tif"


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
    """Another date of every file that matches."""

    def change(folder: Path) -> list[str]:
        files = [file for file in folder.glob(path) if not file.is_dir()]
        assert files
        for file in files:
            file.touch()
        return []

    return change


def copied(folder: Path) -> list[str]:
    """The results as a plain copy leaves them: the same bytes, all dates new and in another order."""
    shutil.move(folder / "results", folder / "original")
    subprocess.run(["cp", "-r", folder / "original", folder / "results"], check=True)
    return []


CHANGES = {
    "nothing": (lambda folder: [], set()),
    "toyplanet.seed": (config_override("toyplanet: {seed: 2}"), {"make_toyplanet"} | RETRIEVED),
    "shards.quality": (config_override("shards: {quality: 80}"), IMPORTED),
    "max_rejected_share (a check)": (config_override("max_rejected_share: 0.2"), set()),
    "torch_threads": (config_override("torch_threads: 2"), PRETRAINED),
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
    "splits.buffer_km, method random": (config_override("splits: {buffer_km: 5, block_km: 40}"), set()),
    "geocells.max_photos": (config_override("geocells: {max_photos: 50}"), CELLS),
    "geocells.h3_resolution, method semantic": (config_override("geocells: {h3_resolution: 3, levels: [2]}"), set()),
    "geocells.s2_level, method semantic beside s2": (
        config_override("geocells: {s2_level: 9}"),
        {"compare_geocells", "report_geocells"} | REPORTED,
    ),
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
    "finetune.last_layers, all trainable": (config_override("finetune: {last_layers: 2}"), set()),
    "evaluate.radii_km": (config_override("evaluate: {radii_km: [1, 100]}"), SCORES),
    "evaluate.thumbnails": (config_override("evaluate: {thumbnails: false}"), {"guess_baselines"} | SCORES),
    "code that both losses use": (edited(LOSSES, "import torch", "import torch\n\nprint('imported')"), PRETRAINED),
    "an unused line in losses": (edited(LOSSES, "import torch", "import torch\n\nEXTRA = 1"), set()),
    "a comment in losses": (edited(LOSSES, "import torch", "# why\nimport torch"), set()),
    "code of retries": (edited("src/homing/jobs/retries.py", "import shutil", "import shutil\n\nprint('new')"), set()),
    "code of launching": (
        edited("src/homing/training/launch/accelerate.py", "import logging", "import logging\n\nprint('new')"),
        set(),
    ),
    "words of the captions, in resources": (
        edited("resources/koppen_classes.csv", "Tropical, rainforest", "Equatorial, rainforest"),
        {"write_captions", "report_labels"} | PRETRAINED,
    ),
    "codes of countries, in resources": (
        edited("resources/settled_codes.csv", "Z01,IND,India", "Z01,IND,Bharat"),
        CODED,
    ),
    "a line of code in the report": (
        edited("workflow/scripts/make_report.py", "with job", "EXTRA = 1\nwith job"),
        REPORTED,
    ),
    "a template of the report": (
        edited("src/homing/report/templates/style.css.j2", "16px", "17px"),
        REPORTED | {"report_labels", "report_geocells"},
    ),
    "a comment in a script": (edited("workflow/scripts/make_geocells.py", "with job", "# why\nwith job"), set()),
    "a touched raw file": (touched(KOPPEN), set()),
    "every result touched": (touched("results/**/*"), set()),
    "results that were copied": (copied, set()),
    "a new koppen file": (new_content("results/raw/koppen/toy/manifests/koppen_geiger.tif.json"), LABELLED),
    "removed: the report": (removed("results/runs/demo/report.html"), REPORTED),
    "removed: the geocells, whose results are all there": (removed(GEOCELLS), set()),
    "removed: the manifest of the geocells, as by a job that was killed": (removed(MANIFEST), CELLS),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_runs_what_depends_on_it_and_nothing_else(finished_tiny, copy_of, name):
    change, expected = CHANGES[name]
    folder = copy_of(finished_tiny)
    overrides = change(folder)
    # As if all tables were large: Snakemake compares the content of files up to this size only.
    options = ["--max-checksum-file-size", "2000"] if name in LARGE else []
    assert planned_rules(folder, "--configfile", TINY, *overrides, *options) == expected


def test_a_removed_output_that_is_asked_for_is_made_again_with_its_page_alone(finished_tiny, copy_of):
    folder = copy_of(finished_tiny)
    removed(GEOCELLS)(folder)
    assert planned_rules(folder, "geocells", "--configfile", TINY) == {
        "make_geocells",
        "compare_geocells",
        "report_geocells",
        "geocells",
    }


def test_a_run_that_lacks_an_output_says_so(finished_tiny, copy_of):
    folder = copy_of(finished_tiny)
    removed("results/runs/demo/pretrained")(folder)
    output = snakemake(folder, "--configfile", TINY).stdout
    assert "results/runs/demo/pretrained was made and is gone" in output and "Nothing to be done" in output


def test_a_run_is_whole_again_after_a_forced_job_was_killed(finished_tiny, copy_of):
    folder = copy_of(finished_tiny)
    slow = config_override("pretrain: {epochs: 400, checkpoint_minutes: 600}")(folder)
    forced = ["--configfile", TINY, *slow, "--cores", "2", "--until", "pretrain_clip"]
    kill_when(folder, forced, lambda: any(folder.glob("results/checkpoints/pretrain/*/spec.json")))
    assert not (folder / "results/runs/demo/pretrained").exists()
    assert planned_rules(folder, "--configfile", TINY) == PRETRAINED


def test_fine_tuning_never_resumes_with_the_vectors_of_another_encoder(finished_tiny, copy_of):
    """Files of the same names and sizes as before."""
    folder = copy_of(finished_tiny)
    saved = "finetune: {epochs: 60, checkpoint_minutes: 0.0001}\n"
    first = config_override(saved)(folder)
    forced = ["--configfile", TINY, *first, "--cores", "2", "--until", "finetune_geolocator"]
    kill_when(folder, forced, lambda: any(folder.glob("results/checkpoints/finetune/*/*/state.json")))
    second = config_override(saved + "pretrain: {learning_rate: 0.002}\n")(folder)
    short = folder / "short.yaml"
    short.write_text("finetune: {epochs: 60}")
    again = ["--configfile", TINY, *second, "--cores", "2", "--until", "finetune_geolocator"]
    kill_when(folder, again, lambda: has_started(folder))
    log = (folder / "results/logs/demo/finetune_geolocator.log").read_text()
    assert "resumed" not in log
    assert len(list(folder.glob("results/checkpoints/finetune/*"))) == 2


def has_started(folder: Path) -> bool:
    """True once a second fine-tuning has saved a checkpoint beside the first one's."""
    return len({path.parents[1] for path in folder.glob("results/checkpoints/finetune/*/*/state.json")}) == 2


def kill_when(folder: Path, arguments: list, ready: Callable[[], bool]) -> None:
    """Start Snakemake and kill it, and all that it started, as soon as `ready`."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 300
        while not ready():
            assert process.poll() is None and time.monotonic() < end, "it ended before it could be killed"
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(folder / ".snakemake/locks", ignore_errors=True)


def test_a_variant_asks_for_the_machines_that_it_names(tmp_path):
    folder = copy_repository(tmp_path)
    (folder / "wide.yaml").write_text("variants: {wide: {finetune: {nodes: 2, gpus_per_node: 4}}}")
    jobs = planned_jobs(folder, [str(TINY), "wide.yaml"], targets=["finetune"])
    asked = {job.wildcards["run"]: job.resources for job in jobs if job.rule == "finetune_geolocator"}
    assert asked["demo"]["nodes"] == 1 and not {"gres", "mpi", "tasks", "gpu"} & asked["demo"].keys()
    wide = {name: asked["wide"][name] for name in ("nodes", "gres", "tasks", "mpi", "tasks_per_gpu")}
    assert wide == {"nodes": 2, "gres": "gpu:4", "tasks": 2, "mpi": "srun", "tasks_per_gpu": 0}


def test_the_plan_of_a_finished_run_is_empty_and_a_change_is_planned_from_what_was_measured(finished_tiny, tmp_path):
    nothing = make_plan(Request(finished_tiny, [str(TINY)]))
    assert nothing.jobs == [] and nothing.total().cpu_hours == 0
    (tmp_path / "more.yaml").write_text("pretrain: {epochs: 1000}")
    files = [str(TINY), str(tmp_path / "more.yaml")]
    plan = make_plan(Request(finished_tiny, files))
    lines = {line.rule: line for line in plan.rules}
    assert set(lines) == planned_rules(finished_tiny, "--configfile", *files)

    def measured_hours(rule):
        return benchmark_seconds(finished_tiny / f"results/benchmarks/demo/{rule}.tsv") / 3600

    assert lines["pretrain_clip"].rates == "measured here"
    assert lines["pretrain_clip"].longest_job_hours > 2 * measured_hours("pretrain_clip")
    assert lines["summarise_run"].longest_job_hours == pytest.approx(measured_hours("summarise_run"))


@pytest.mark.parametrize(
    "target", ["labels", "geocells", "pretrain", "embeddings", "finetune", "refine", "evaluate", "report"]
)
def test_each_named_target_stands_alone(finished_tiny, target):
    assert planned_rules(finished_tiny, target, "--configfile", TINY) <= {target}


def test_deciding_that_nothing_is_to_be_done_takes_less_than_5_seconds(tmp_path):
    """On the full-size configuration, with every file in place."""
    folder = copy_repository(tmp_path)
    config = ["--configfile", "config/pigeotto.yaml"]
    listed = snakemake(folder, "--dry-run", *config, "--quiet", "progress").stdout
    assert "import_photos" in listed
    for path in outputs(folder, config):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name in DIRECTORIES:
            target.mkdir()
        else:
            target.write_text("[]" if target.parent.name == "manifests" else "")
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
