"""Homing on a real SLURM: where jobs land, training over two nodes, and a training job that is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
HELPERS = HERE.parent / "helpers"
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow"), str(HELPERS)]

from checkout import TINY, copy_repository, snakemake  # noqa: E402
from cluster import missing_programs  # noqa: E402
from small_world import CAPTIONS, MODEL, PRETRAIN, make_spec, outcome, train, write_world  # noqa: E402

from homing.files import read_json, write_json  # noqa: E402

pytestmark = pytest.mark.slurm

SLOW = {
    "settings": {"seed": 5, "model": MODEL, "captions": CAPTIONS, "pretrain": PRETRAIN | {"epochs": 15}},
    "checkpoint_minutes": 0,
}
TRAINING = {"pretrain_clip", "embed_photos", "finetune_geolocator"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    if missing_programs():
        reason = f"no {', '.join(missing_programs())}: apt-get install slurm-wlm munge"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return copy_repository(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(scope="module")
def trainings(tmp_path_factory) -> Path:
    """Two trainings of a small world for batch jobs of our own: their specs."""
    folder = tmp_path_factory.mktemp("trainings")
    inputs = write_world(folder / "world")
    for name in ("limited", "requeued"):
        write_json(folder / name / "spec.json", make_spec(inputs, folder / name, "pretrain", **SLOW))
    return folder


@pytest.fixture(scope="module")
def one_process(seen, checkout) -> Path:
    """Fine-tuning on the same files, once more in one process on this machine: the run's folder."""
    sizes = ["--configfile", TINY, HERE / "two_nodes.yaml", HERE / "one_process.yaml"]
    snakemake(checkout, *sizes, "--forcerun", "finetune_geolocator", "--until", "finetune_geolocator")
    return checkout / "results/runs/demo"


@pytest.fixture(scope="module")
def seen(checkout, trainings) -> dict:
    """What the scenario saw on the cluster."""
    output = checkout / "seen.json"
    command = [sys.executable, HERE / "cluster.py", sys.executable, HERE / "scenario.py", checkout, output, trainings]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": f"{checkout / 'src'}:{HELPERS}"})
    found = json.loads(output.read_text())
    assert found["first"] == 0, (checkout / "slurm_run.log").read_text()[-6000:]
    return found


def rule_of(job: dict) -> str:
    return next((rule for rule in sorted(TRAINING) if f"rule_{rule}" in job["Comment"]), "other")


def losses(history: Path) -> np.ndarray:
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    return np.array([line["loss"] for line in lines if "loss" in line])


def test_rules_land_on_their_partition(seen):
    partitions = {(rule_of(job) in TRAINING, job["Partition"]) for job in seen["jobs"]}
    assert partitions == {(True, "gpu"), (False, "cpu")}
    assert len(seen["jobs"]) >= 10


def test_training_asks_for_gpus(seen):
    for job in seen["jobs"]:
        asked = job["TresPerNode"] + job["TresPerJob"]
        assert ("gpu" in asked) == (rule_of(job) in TRAINING), job


def test_two_nodes_with_two_processes_give_the_loss_curve_of_one_process(seen, checkout, one_process):
    job = next(job for job in seen["jobs"] if rule_of(job) == "finetune_geolocator")
    assert job["NumNodes"] == "2"
    four = losses(checkout / "first_run/finetune_history.jsonl")
    one = losses(one_process / "finetune_history.jsonl")
    assert len(one) == len(four) >= 5
    np.testing.assert_allclose(four[:5], one[:5], atol=1e-5)


def test_a_job_that_loses_a_process_and_its_node_and_is_cancelled_ends_with_the_same_weights(seen, checkout):
    """Each of Snakemake's three retries is one job more, and goes on from the checkpoint."""
    assert seen["second"] == 0, (checkout / "slurm_run.log").read_text()[-6000:]
    met = [fault.split(" on ")[0] for fault in seen["faults"]]
    assert met == ["kill_a_process: FAILED", "set_the_node_down: NODE_FAIL", "cancel: CANCELLED"]
    unbroken = (checkout / "first_run/pretrained/model.safetensors").read_bytes()
    assert (checkout / "results/runs/demo/pretrained/model.safetensors").read_bytes() == unbroken


@pytest.mark.parametrize(
    ("name", "message"),
    [("lose_the_numbers", "are unaffected"), ("lose_a_shard", "missing shard; import the photos again")],
)
def test_an_error_that_comes_again_is_met_by_one_launch_and_told_by_the_retry(seen, name, message):
    found = seen["errors"][name]
    assert found["status"] == 1 and len(found["job_seconds"]) == 2, found
    assert len(found["errors"]) == 1 and message in found["errors"][0]
    assert found["log"].endswith(f"error: {found['errors'][0]}\n")
    assert found["step"] == {"lose_the_numbers": 1, "lose_a_shard": 0}[name]  # the checkpoint before is kept


def test_a_full_disk_ends_in_one_error_and_the_next_job_goes_on_to_the_same_bits(seen, trainings, one_process):
    found = seen["errors"]["fill_the_disk"]
    assert found["status"] == 0 and len(found["job_seconds"]) == 2, found
    (error,) = found["errors"]
    assert "no space left for the checkpoint of step 2; the one of step 1 is intact" in error
    assert "resumed at step 1 of" in found["log"]
    run = trainings / "fill_the_disk/results/runs/demo"
    for name in ("finetuned/heads.safetensors", "finetuned/encoder/model.safetensors"):
        assert (run / name).read_bytes() == (one_process / name).read_bytes(), name


@pytest.mark.parametrize(
    ("name", "nodes", "states"),
    [
        ("limited", 1, [["TIMEOUT", "FAILED"], ["COMPLETED"]]),  # it may have saved and ended in time
        ("requeued", 2, [["REQUEUED"], ["FAILED"], ["COMPLETED"]]),
    ],
)
def test_jobs_go_on_after_a_time_limit_a_requeue_and_a_killed_launcher(seen, trainings, tmp_path, name, nodes, states):
    log = (trainings / name / "job.log").read_text()
    assert all(state in allowed for state, allowed in zip(seen[name], states, strict=True)), (seen[name], log[-6000:])
    assert log.count("resumed at step") == len(states) - 1
    unbroken = train(read_json(trainings / name / "spec.json")["inputs"], tmp_path, "pretrain", nodes, **SLOW)
    broken = outcome(trainings / name, "pretrain", 0)
    assert broken.losses == unbroken.losses and len(broken.losses) == 60
    assert all(torch.equal(broken.weights[key], value) for key, value in unbroken.weights.items())


def test_nothing_is_left_behind(seen):
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert not [line for line in processes.splitlines() if line.startswith(("slurmctld", "slurmd", "munged"))]


def test_labels_of_two_jobs_are_those_of_one(seen, checkout):
    assert sum("rule_label_tile" in job["Comment"] for job in seen["jobs"]) == 2
    labels = checkout / "results/labels/toy/labels.parquet"
    of_two = labels.read_bytes()
    (checkout / "results/checkpoints/labels/toy.parquet").unlink(missing_ok=True)
    snakemake(checkout, "--configfile", TINY, "--forcerun", "label_photos", "--until", "label_photos")
    assert labels.read_bytes() == of_two
