"""Compiled layers: how many programs there are, and that they compute what the layers do."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from small_world import MODEL
from tiny_encoders import FAMILIES, SIDE, save
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional

from homing.model import encoders
from homing.model.clip import ContrastiveModel, build_clip
from homing.model.encoders import load_encoder
from homing.training.accumulate import Gradients
from homing.training.data.sampler import Order

PHOTOS = 11


class Pairs:
    """Random pictures and captions of full length, compared with each other."""

    compares, photos, weights = True, PHOTOS, {"contrastive": 1.0}

    def __init__(self, compiled: bool) -> None:
        parts = build_clip(MODEL | {"layers": 3, "text_layers": 3}, ["A photo."], seed=3)
        parts.tune({"compile": compiled})
        self.module = ContrastiveModel(parts, sigmoid=False)
        ids, mask = parts.tokens(["A photo."] * PHOTOS, fixed=True)
        pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(PHOTOS, 3, 16, 16))).float()
        self.inputs = pixels, ids, mask

    def forward(self, module, inputs):
        return module(*inputs)

    def counts(self, batch):
        return {"contrastive": torch.tensor(PHOTOS)}

    def losses(self, outputs, batch):
        logits = outputs["scale"] * outputs["image"] @ outputs["text"].T
        return {"contrastive": functional.cross_entropy(logits, torch.arange(PHOTOS), reduction="sum")}


@pytest.fixture
def programs(monkeypatch):
    """Counts compiled programs; without a C++ compiler, which a machine may lack."""
    counter = CompileCounterWithBackend("aot_eager")
    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: compiling(self, backend=counter, **how))
    torch._dynamo.reset()
    yield counter
    torch._dynamo.reset()


def take_step(stage: Pairs, micro_batch: int | None) -> Gradients:
    gradients = Gradients(stage, stage.module, Accelerator(cpu=True), torch.Tensor.backward, 0, micro_batch)
    gradients.add(Order(PHOTOS, PHOTOS, 0).view(0, 0, 1), stage.inputs)
    return gradients


def gradient(stage: Pairs) -> torch.Tensor:
    return torch.cat([value.grad.flatten() for value in stage.module.parameters()])


def test_there_is_a_program_per_shape_and_not_per_layer_and_the_gradient_is_the_same(programs):
    """Of pictures and of captions; parts of 8 and of 3 photos, each with and without gradient."""
    compiled, plain = Pairs(True), Pairs(False)
    take_step(compiled, micro_batch=8)
    assert programs.frame_count == 2 * 2 * 2
    take_step(compiled, micro_batch=8)
    assert programs.frame_count == 2 * 2 * 2
    compiled.module.zero_grad()
    take_step(compiled, micro_batch=8)
    take_step(plain, micro_batch=8)
    torch.testing.assert_close(gradient(compiled), gradient(plain), rtol=1e-5, atol=1e-7)


def test_the_size_that_fits_is_compiled_however_many_did_not(programs, monkeypatch):
    """Beyond the number of programs there may be, torch would leave the layers uncompiled without a word."""
    monkeypatch.setattr(encoders, "PROGRAMS", 8)  # as many as parts of 2 and a last one of 1 need
    stage = Pairs(True)
    forward = stage.forward

    def limited(module, inputs):
        outputs = forward(module, inputs)
        if len(inputs[0]) > 2:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return outputs

    stage.forward = limited
    gradients = Gradients(stage, stage.module, Accelerator(cpu=True), torch.Tensor.backward, 0, None)
    gradients.fit(Order(PHOTOS, PHOTOS, 0).view(0, 0, 1), stage.inputs)
    assert gradients.micro_batch == 2  # of 11, 6, 3, each with a program for pictures and one for captions
    assert programs.frame_count == 3 * 2 + 8


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_every_family_are_compiled_with_checkpoints(programs, tmp_path, family):
    folder = save(family, tmp_path)
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.manual_seed(0))
    gradients = []
    for settings in ({}, {"compile": True, "gradient_checkpointing": True}):
        encoder = load_encoder(folder).train()
        encoder.freeze("last", 2, "mean")
        encoder.tune(settings)
        encoder(pixels, "mean").square().sum().backward()
        gradients.append([value.grad for value in encoder.parameters() if value.requires_grad])
    torch.testing.assert_close(gradients[1], gradients[0])
    assert programs.frame_count == 3  # the layer below; the first trainable one, whose input has no gradient; the last
