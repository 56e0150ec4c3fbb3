"""What is seen of a training while it runs, and batches loaded ahead of it."""

import os
import pty
import termios
import threading
from pathlib import Path

import numpy as np
import pytest
from small_world import PHOTOS, make_spec, run_module, run_processes, train, write_world
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from homing.errors import HomingError
from homing.files import write_json
from homing.training.data.prefetch import DEPTH, prefetch
from homing.training.data.sampler import DistributedBatchSampler
from homing.training.launch.processes import TERMINAL


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    return write_world(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory) -> tuple[Path, list[dict]]:
    """A training that stopped and went on, and its history."""
    folder = tmp_path_factory.mktemp("reported")
    train(inputs, folder, "finetune", stop_after_steps=6)
    (folder / "log.txt").unlink()
    return folder, train(inputs, folder, "finetune").history


def test_the_history_tells_speed_waiting_and_memory(trained):
    rows = [row for row in trained[1] if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, 13))
    for row in rows:
        assert row["photos_per_second"] > 0 and 0 <= row["waiting_share"] <= 1 and 50 < row["memory_mb"] < 50_000
        assert {"loss.cell", "loss.month", "loss.latitude", "learning_rate", "gradient_norm"} <= row.keys()


def test_without_a_terminal_there_is_a_line_per_interval(trained):
    lines = [line for line in (trained[0] / "log.txt").read_text().splitlines() if line.startswith("step ")]
    assert lines[0].startswith("step 7 of 12: loss ") and lines[-1].startswith("step 12 of 12: loss ")
    for said in ("(cell ", "month ", "photos/s", "waiting for data", " GB", "min left"):
        assert said in lines[0]
    assert "val_median_km" in lines[-1]


def test_tensorboard_has_every_step_once(trained):
    events = EventAccumulator(str(trained[0] / "tensorboard/finetune")).Reload()
    for name in ("loss", "loss.cell", "waiting_share"):
        assert [event.step for event in events.Scalars(name)] == list(range(1, 13))
    losses = [event.value for event in events.Scalars("loss")]
    np.testing.assert_allclose(losses, [row["loss"] for row in trained[1] if "loss" in row], rtol=1e-6)
    assert [event.step for event in events.Scalars("val_median_km")] == [4, 8, 12]


def run_on_a_terminal(stage: str, spec: Path, log: Path, terminal: str) -> None:
    os.environ[TERMINAL] = terminal
    run_module(stage, spec, log)


def test_on_a_terminal_there_is_a_bar(inputs, tmp_path):
    write_json(tmp_path / "spec.json", make_spec(inputs, tmp_path, "pretrain"))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    arguments = ("pretrain", tmp_path / "spec.json", tmp_path / "log.txt", os.ttyname(theirs))
    assert run_processes(run_on_a_terminal, 1, *arguments) == [0]
    seen = os.read(ours, 100_000).decode()
    assert "pretrain: 100%" in seen and "12/12" in seen and "loss=" in seen
    assert "\nstep " not in (tmp_path / "log.txt").read_text()


def test_a_tracker_that_is_not_installed_is_named(inputs, tmp_path):
    refused = train(inputs, tmp_path, "finetune", trackers=["comet_ml"])
    assert refused.status == 1 and "trackers: 'comet_ml' is not available" in refused.error


def views(steps: int):
    sampler = DistributedBatchSampler(PHOTOS, global_batch=12, seed=1)
    return [sampler.local_batch(step, 0, 1) for step in range(steps)]


def test_batches_come_in_order_and_are_loaded_while_one_is_in_work():
    steps, order = 8, []
    loaded = [threading.Event() for _ in range(steps)]

    def load(batch):
        order.append(batch.step)
        loaded[batch.step].set()
        return batch.step

    for batch, step, waited_seconds in prefetch(load, views(steps)):
        assert batch.step == step and waited_seconds >= 0
        assert loaded[min(step + DEPTH, steps - 1)].wait(30)
        assert max(order) <= step + DEPTH
    assert order == list(range(steps))


def test_an_error_of_loading_comes_at_its_batch():
    def load(batch):
        if batch.step == 3:
            raise HomingError("photo 'x' is lost")
        return batch.step

    seen = []
    with pytest.raises(HomingError, match="photo 'x' is lost"):
        seen.extend(step for _, step, _ in prefetch(load, views(8)))
    assert seen == [0, 1, 2]
