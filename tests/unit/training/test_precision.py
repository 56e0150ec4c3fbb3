"""Training in half precision: near the losses of full precision, and a resume that scales on."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_world import CAPTIONS, FINETUNE, MODEL, PRETRAIN, run_module, train, write_world

from homing.errors import HomingError
from homing.model.precision import autocast, has_units
from homing.training.optimiser import Optimizer

STAGES = ["pretrain", "finetune"]


def in_precision(precision: str) -> dict:
    stages = {"pretrain": PRETRAIN, "finetune": FINETUNE}
    settings = {stage: values | {"mixed_precision": precision} for stage, values in stages.items()}
    return {"settings": {"seed": 5, "model": MODEL, "captions": CAPTIONS} | settings}


def run_scaled(stage: str, spec: Path, log: Path, scale: float) -> None:
    """`run_module`, with another scale to begin with."""
    torch.amp.GradScaler = partial(torch.amp.GradScaler, init_scale=scale)
    run_module(stage, spec, log)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    return write_world(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_near_those_of_full_precision(inputs, tmp_path, stage):
    run = partial(run_scaled, scale=2.0**8)  # low enough for gradients of that size from the first step on
    losses = {
        name: train(inputs, tmp_path / name, stage, run=run, **in_precision(name)).losses
        for name in ("no", "bf16", "fp16")
    }
    for half, tolerance in (("bf16", 0.03), ("fp16", 0.005)):
        assert losses[half] != losses["no"]
        np.testing.assert_allclose(losses[half][:4], losses["no"][:4], rtol=tolerance)


@pytest.mark.parametrize("stage", STAGES)
def test_a_scale_that_is_too_high_costs_steps_alone_and_is_resumed(inputs, tmp_path, stage):
    make = {"run": partial(run_scaled, scale=2.0**22)} | in_precision("fp16")
    whole = train(inputs, tmp_path / "whole", stage, **make)
    steps = [row for row in whole.history if "loss" in row]
    left_out = next(number for number, row in enumerate(steps) if "gradient_norm" in row)
    assert 2 <= left_out < len(steps) - 2
    stopped = train(inputs, tmp_path / "resumed", stage, stop_after_steps=left_out + 1, **make)
    assert stopped.status == 1
    resumed = train(inputs, tmp_path / "resumed", stage, **make)
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.weights[name], value) for name, value in whole.weights.items())


def test_a_step_that_no_scale_mends_is_not_borne():
    settings = {
        "learning_rate": 0.1, "betas": [0.9, 0.99], "epsilon": 1e-6, "weight_decay": 0.0, "gradient_clip": 1.0,
    }  # fmt: skip
    borne = {}
    for precision in ("bf16", "fp16"):
        module = torch.nn.Linear(2, 1)
        optimizer = Optimizer(module, settings | {"mixed_precision": precision}, torch.device("cpu"))
        before, scales = module.weight.detach().clone(), []
        while len(scales) < 40 and (not scales or borne[precision]):
            optimizer.backward(module(torch.ones(1, 2)).sum() * torch.inf)
            borne[precision] = optimizer.may_skip(float(optimizer.clip()))
            scales.append(optimizer.scaler.get_scale())
            if borne[precision]:
                optimizer.step(0.1)
        assert torch.equal(module.weight, before)
        assert len(scales) == {"bf16": 1, "fp16": 18}[precision]  # fp16: from 2 ** 16 down to less than 1


def test_an_older_gpu_is_told_what_it_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    assert not has_units(torch.device("cuda"), "bf16") and has_units(torch.device("cuda"), "fp16")
    with pytest.raises(HomingError, match="Tesla V100 has no bf16; set it to fp16"):
        autocast(torch.device("cuda"), "bf16")
