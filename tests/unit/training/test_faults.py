"""Whatever dies on the way, the end is a finished training with the weights of an unbroken one, or one clear error."""

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from small_world import (
    PRETRAIN,
    checkpoint_steps,
    error_of,
    make_spec,
    outcome,
    run_module,
    run_processes,
    train,
    write_world,
)

from homing.errors import TransientError
from homing.files import write_json
from homing.training.launch.processes import error_file

LONG = {"pretrain": PRETRAIN | {"epochs": 15}}  # 60 steps
ALWAYS = {"checkpoint_minutes": 0}  # a checkpoint at every step
JOB = """
import logging, sys
from homing.errors import HomingError
from homing.files import read_json
from homing.training.launch.accelerate import Sizes, launch
logging.basicConfig(level="INFO", format="%(message)s")
try:
    spec = read_json(sys.argv[1]) | {"launch": sys.argv[2]}
    launch("homing.training.pretrain", spec, Sizes(nodes=1, processes=2, gpus=0, cores=2))
except HomingError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    return write_world(tmp_path_factory.mktemp("inputs"))


def settings(spec: dict) -> dict:
    return {"settings": spec["settings"] | LONG}


@dataclass
class Job:
    """A job as a rule starts it: it launches two processes through Accelerate, and goes on from the last checkpoint."""

    folder: Path

    def __enter__(self) -> "Job":
        self.before = max(checkpoint_steps(self.folder), default=0)
        self.output = (self.folder / "output.txt").open("w")
        command = [sys.executable, "-c", JOB, str(self.folder / "spec.json"), str(time.monotonic_ns())]
        environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
        self.process = subprocess.Popen(command, env=environment, stdout=self.output, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_) -> None:
        self.output.close()

    def train_some_steps(self) -> None:
        while max(checkpoint_steps(self.folder), default=0) < self.before + 5:
            assert self.process.poll() is None, self.text()
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """The training processes, the first one first."""
        text = subprocess.run(
            ["pgrep", "-f", f"homing.training.pretrain {self.folder}"], capture_output=True, text=True
        )
        return [pid for pid in map(int, text.stdout.split()) if b"accelerate" not in command_line(pid)]

    def end(self) -> int:
        """Wait until nothing of the job is left; its status."""
        status = self.process.wait(60)
        deadline = time.monotonic() + 30
        while self.processes():
            assert time.monotonic() < deadline, "processes outlive their job"
            time.sleep(0.05)
        return status

    def text(self) -> str:
        return (self.folder / "output.txt").read_text()


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return b"accelerate"  # it has ended


def test_a_job_that_is_killed_in_every_way_ends_with_the_weights_of_an_unbroken_one(inputs, tmp_path):
    """kill -9 of one process, then of the job itself; the launches after them go on."""
    spec = make_spec(inputs, tmp_path, "pretrain", **ALWAYS)
    write_json(tmp_path / "spec.json", spec | settings(spec))
    with Job(tmp_path) as job:
        job.train_some_steps()
        os.kill(job.processes()[-1], signal.SIGKILL)
        assert job.end() == 1 and "ended with status" in job.text()
    with Job(tmp_path) as job:
        job.train_some_steps()
        job.process.kill()
        assert job.end() == -signal.SIGKILL
    # Its processes have noticed, saved and stopped.
    assert any("stopped at step" in path.read_text() for path in tmp_path.glob("error-*.json"))
    with Job(tmp_path) as job:
        assert job.end() == 0, job.text()
    unbroken = train(inputs, tmp_path / "unbroken", "pretrain", processes=2, **settings(spec))
    broken = outcome(tmp_path, "pretrain", 0)
    assert len(unbroken.losses) == 60 and broken.losses == unbroken.losses
    for name, expected in unbroken.weights.items():
        assert torch.equal(broken.weights[name], expected), name


def run_on_a_small_disk(stage: str, spec: Path, log: Path, file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    run_module(stage, spec, log)


def test_a_disk_that_is_full_loses_nothing(inputs, tmp_path):
    unbroken = train(inputs, tmp_path / "unbroken", "finetune")
    assert train(inputs, tmp_path, "finetune", stop_after_steps=6).status == 1
    error_file(make_spec(inputs, tmp_path, "finetune")).unlink()
    write_json(tmp_path / "spec.json", make_spec(inputs, tmp_path, "finetune"))
    (status,) = run_processes(run_on_a_small_disk, 1, "finetune", tmp_path / "spec.json", tmp_path / "log.txt", 20_000)
    assert status == 1
    assert "no space left for the checkpoint of step 8; the one of step 6 is intact" in str(error_of(tmp_path))
    assert isinstance(error_of(tmp_path), TransientError) and checkpoint_steps(tmp_path) == [4, 6]
    resumed = train(inputs, tmp_path, "finetune")
    assert resumed.losses == unbroken.losses
    assert all(torch.equal(resumed.weights[name], value) for name, value in unbroken.weights.items())


def test_a_lost_shard_and_a_broken_photo_are_named(inputs, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    for path in sorted(Path(inputs["shards"]).glob("*.tar")):
        (shards / path.name).write_bytes(b"\0" * path.stat().st_size)
    broken = train(inputs | {"shards": str(shards)}, tmp_path, "finetune")
    assert broken.status == 1 and "photo 'p0" in broken.error and "import the photos again" in broken.error
    lost = sorted(shards.glob("*.tar"))[-1]
    for path in Path(inputs["shards"]).glob("*.tar"):
        (shards / path.name).write_bytes(path.read_bytes())
    lost.unlink()
    missing = train(inputs | {"shards": str(shards)}, tmp_path, "finetune")
    assert missing.status == 1 and f"{lost}: missing shard" in missing.error
    assert not isinstance(error_of(tmp_path), TransientError)


def test_a_training_that_another_job_has_taken_over_ends(inputs, tmp_path):
    write_json(tmp_path / "taken.json", {"launch": "two"})
    ended = train(inputs, tmp_path, "pretrain", path=str(tmp_path / "taken.json"))
    assert ended.status == 1 and "another job has taken over this training" in ended.error
    assert isinstance(error_of(tmp_path), TransientError)
    assert checkpoint_steps(tmp_path) == []


def test_a_checkpoint_of_another_training_is_refused(inputs, tmp_path):
    assert train(inputs, tmp_path, "pretrain", stop_after_steps=6).status == 1
    spec = make_spec(inputs, tmp_path, "pretrain")
    changed = spec["settings"] | {"pretrain": PRETRAIN | {"learning_rate": 0.02}}
    refused = train(inputs, tmp_path, "pretrain", settings=changed, fingerprint="g")
    assert refused.status == 1 and "pretrain.learning_rate was 0.01, it is now 0.02" in refused.error
    assert train(inputs, tmp_path, "pretrain", micro_batch=3).status == 0  # how it is launched is no other training
