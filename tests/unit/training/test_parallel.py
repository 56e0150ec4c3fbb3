"""Parallel is equal: 1, 2 and 4 processes take the same steps on the same photos, in one piece or in parts.

For each number of processes they are started once and go through all cases; what every one of them saw is compared.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_world import COMMON, FINETUNE, PHOTOS, PRETRAIN, make_spec, run_processes, write_world

from homing.errors import HomingError
from homing.files import write_json
from homing.training import finetune, pretrain
from homing.training.checkpoint import Checkpoints
from homing.training.loop import Trainer
from homing.training.worker import make_accelerator

WORLDS = (1, 2, 4)
LOSSES = ("infonce", "sigmoid", "finetune")
PARTS = {"whole": None, "parts": 2}
STEPS, STEPS_PER_EPOCH = 8, 4  # two epochs of ceil(41 / 12) steps
EQUAL = COMMON | {"epochs": 2, "learning_rate": 1e-4, "gradient_clip": 1e9}
NAN_STEP = 5


def prepare(inputs: Mapping[str, str], folder: Path, loss: str, **more):
    """A stage and its training in `folder`."""
    stage = "finetune" if loss == "finetune" else "pretrain"
    spec = make_spec(inputs, folder, stage, **more)
    settings = {"pretrain": PRETRAIN | EQUAL | {"loss": loss}, "finetune": FINETUNE | EQUAL}
    spec["settings"] = spec["settings"] | settings
    write_json(spec["path"], spec)
    device = torch.device("cpu")
    made = (finetune if loss == "finetune" else pretrain).prepare(spec, device)
    return made, Trainer(made, settings[stage], spec, ACCELERATOR[0])


ACCELERATOR: list = []  # one for all trainings of a process: Accelerate's state is the process's


def go_through_cases(inputs: Mapping[str, str], folder: Path) -> None:
    """What one process does: every case, its records written to files."""
    ACCELERATOR.append(make_accelerator(make_spec(inputs, folder, "pretrain")))
    for loss in LOSSES:
        for parts, micro_batch in PARTS.items():
            record(inputs, folder, loss, f"{loss}-{parts}", micro_batch=micro_batch)
    processes = ACCELERATOR[0].num_processes
    if processes == 2:
        record(inputs, folder, "infonce", "too-large", sabotage=too_large)
        record(inputs, folder, "finetune", "too-large-finetune", sabotage=too_large)
        record(inputs, folder, "finetune", "nan", sabotage=no_number)
        record(inputs, folder, "finetune", "nan", name="nan-resumed")
        record(inputs, folder, "infonce", "moved", stop_after_steps=NAN_STEP)
    if processes == 4:
        record(inputs, folder, "infonce", "moved", name="moved-on")


def too_large(stage, training) -> None:
    """The last process has memory for two photos at once."""
    forward = stage.forward

    def limited(module, inputs):
        if module.training and len(inputs[0]) > 2 and ACCELERATOR[0].process_index == 1:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return forward(module, inputs)

    stage.forward, training.memory_probes = limited, 2


def no_number(stage, training) -> None:
    """The last process meets a loss that is no number, in the middle of the second epoch."""
    losses = stage.losses

    def wrong(outputs, batch):
        found = losses(outputs, batch)
        bad = batch.step == NAN_STEP and ACCELERATOR[0].process_index == 1
        return found | {"month": found["month"] * math.nan} if bad else found

    stage.losses = wrong


def record(
    inputs: Mapping[str, str], folder: Path, loss: str, case: str, name: str | None = None, sabotage=None, **more
) -> None:
    """Train, and write the items, losses and gradients of every step."""
    accelerator, name = ACCELERATOR[0], name or case
    shared = folder / case if case == "moved" else folder / str(accelerator.num_processes) / case
    stage, training = prepare(inputs, shared, loss, **more)
    items, gradients, load = [], {}, stage.load

    def loaded(batch):
        items.append([batch.step, batch.items[batch.real].tolist()])
        return load(batch)

    def keep(optimizer, *_):
        values = [value.grad.flatten() for group in optimizer.param_groups for value in group["params"]]
        gradients[str(training.progress.step)] = torch.cat(values)

    stage.load = loaded
    training.optimizer.adamw.register_step_pre_hook(keep)
    if sabotage:
        sabotage(stage, training)
    error = ""
    try:
        training.run()
    except HomingError as raised:
        error = str(raised)
    weights = torch.cat([value.flatten() for value in stage.module.parameters() if value.requires_grad])
    path = folder / f"{name}-{accelerator.num_processes}-{accelerator.process_index}"
    save_file({"weights": weights.detach(), **gradients}, path.with_suffix(".safetensors"))
    seen = {"items": items, "history": training.progress.history, "error": error, "step": training.progress.step}
    seen["micro_batch"] = training.gradients.micro_batch
    path.with_suffix(".json").write_text(json.dumps(seen))


class Seen:
    """What the processes of a world recorded of a case."""

    def __init__(self, folder: Path, case: str, processes: int) -> None:
        paths = [folder / f"{case}-{processes}-{number}" for number in range(processes)]
        self.records = [json.loads(path.with_suffix(".json").read_text()) for path in paths]
        self.tensors = [load_file(path.with_suffix(".safetensors")) for path in paths]
        self.losses = np.array([row["loss"] for row in self.records[0]["history"] if "loss" in row])
        names = ("val_median_km", "val_loss", "val_retrieval", "val_cell_accuracy")
        self.validation = [
            [row[name] for name in names if name in row] for row in self.records[0]["history"] if "loss" not in row
        ]

    def batch(self, step: int) -> list[int]:
        """The items of all processes in a step, in their order."""
        return [
            item for record in self.records for number, items in record["items"] if number == step for item in items
        ]

    def gradients(self, step: int) -> list[torch.Tensor]:
        return [tensors[str(step)] for tensors in self.tensors]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parallel")
    inputs = write_world(folder / "world")
    shards = len(list(Path(inputs["shards"]).glob("*.tar")))
    assert shards > 2 and all(shards % processes for processes in WORLDS[1:])
    for processes in WORLDS:
        assert run_processes(go_through_cases, processes, inputs, folder) == [0] * processes
    return folder


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("processes", WORLDS)
def test_any_number_of_processes_takes_the_same_steps(folder, processes, loss, parts):
    one, found = Seen(folder, f"{loss}-whole", 1), Seen(folder, f"{loss}-{parts}", processes)
    for step in range(STEPS):
        assert found.batch(step) == one.batch(step)
        for gradient in found.gradients(step):
            assert distance(gradient, one.gradients(step)[0]) < 1e-4
            assert torch.equal(gradient, found.gradients(step)[0])
    np.testing.assert_allclose(found.losses, one.losses, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.validation, one.validation, rtol=1e-5)
    assert len(found.losses) == STEPS and len(found.validation) == 2


@pytest.mark.parametrize("processes", WORLDS)
def test_every_photo_is_seen_once_in_each_epoch(folder, processes):
    found = Seen(folder, "infonce-parts", processes)
    for epoch in range(2):
        steps = range(epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH)
        assert sorted(item for step in steps for item in found.batch(step)) == list(range(PHOTOS))


@pytest.mark.parametrize(("case", "loss"), [("too-large", "infonce"), ("too-large-finetune", "finetune")])
def test_where_one_process_lacks_memory_all_take_smaller_parts_and_the_result_stays(folder, case, loss):
    whole, found = Seen(folder, f"{loss}-whole", 2), Seen(folder, case, 2)
    assert [record["micro_batch"] for record in found.records] == [2, 2]  # of 6 photos
    assert [record["error"] for record in found.records] == ["", ""]
    for step in range(STEPS):
        assert distance(found.gradients(step)[0], whole.gradients(step)[0]) < 1e-4


def test_a_loss_that_is_no_number_stops_every_process_before_it_counts(folder):
    unbroken, found, resumed = (Seen(folder, name, 2) for name in ("finetune-whole", "nan", "nan-resumed"))
    for record in found.records:
        assert f"step {NAN_STEP + 1}: the loss of month is nan" in record["error"] and record["step"] == NAN_STEP
    assert not any(str(NAN_STEP) in tensors for tensors in found.tensors)
    assert torch.equal(resumed.tensors[0]["weights"], unbroken.tensors[0]["weights"])
    assert Checkpoints(folder / "2/nan/checkpoints").steps()[-1] == STEPS


def test_a_training_goes_on_with_another_number_of_processes(folder):
    one, stopped, found = (
        Seen(folder, name, processes) for name, processes in (("infonce-whole", 1), ("moved", 2), ("moved-on", 4))
    )
    assert "stopped at step" in stopped.records[0]["error"]
    for step in range(NAN_STEP, STEPS):
        assert found.batch(step) == one.batch(step)
        assert distance(found.gradients(step)[0], one.gradients(step)[0]) < 1e-4
    np.testing.assert_allclose(found.losses, one.losses, rtol=1e-5, atol=1e-5)
