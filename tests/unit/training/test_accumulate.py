"""Gradients taken in parts, against one graph of the whole batch, where something random happens in the module too."""

import copy

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional

from homing.errors import HomingError
from homing.training.accumulate import Gradients
from homing.training.data.sampler import Order

PHOTOS, SEED = 11, 7


class Comparing:
    """Photos with a text each, embedded with dropout and compared with each other."""

    compares, photos, weights = True, PHOTOS, {"contrastive": 1.0}

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = Towers()
        self.data = torch.randn(PHOTOS, 5), torch.randn(PHOTOS, 4)
        self.sizes: list[int] = []

    def load(self, batch):
        return tuple(value[batch.items] for value in self.data)

    def forward(self, module, inputs):
        self.sizes.append(len(inputs[0]))
        return module(*inputs)

    def counts(self, batch):
        return {"contrastive": torch.tensor(len(batch.all_items))}

    def losses(self, outputs, batch):
        logits = outputs["scale"] * outputs["image"] @ outputs["text"].T
        return {"contrastive": functional.cross_entropy(logits, torch.arange(len(logits)), reduction="sum")}


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(5, 6), nn.Linear(4, 6)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, images, texts):
        image, text = (
            functional.dropout(encoder(values), 0.3) for encoder, values in ((self.image, images), (self.text, texts))
        )
        return {"image": functional.normalize(image), "text": functional.normalize(text), "scale": self.scale.exp()}


def make(stage, micro_batch: int | None):
    batch = Order(PHOTOS, global_batch=PHOTOS, seed=SEED).view(3, 0, 1)
    return Gradients(stage, stage.module, Accelerator(cpu=True), torch.Tensor.backward, SEED, micro_batch), batch


def gradient(stage) -> torch.Tensor:
    return torch.cat([value.grad.flatten() for value in stage.module.parameters()])


@pytest.mark.parametrize("micro_batch", [1, 3, 4, PHOTOS, 100])
def test_cached_gradients_are_those_of_one_graph_over_all_parts(micro_batch):
    """The oracle keeps the graph of every part and goes back once; what is dropped in a part is drawn as there."""
    stage = Comparing()
    gradients, batch = make(stage, micro_batch)
    shares = gradients.add(batch, stage.load(batch))

    oracle = copy.deepcopy(stage)
    oracle.module.zero_grad()
    parts = []
    for start in range(0, PHOTOS, micro_batch):
        torch.manual_seed(int(np.random.SeedSequence([SEED, batch.step, start]).generate_state(1)[0]))
        items = batch.items[start : start + micro_batch]
        parts.append(oracle.module(*(value[items] for value in oracle.data)))
    outputs = {name: torch.cat([part[name] for part in parts]) for name in ("image", "text")}
    loss = oracle.losses(outputs | {"scale": parts[0]["scale"]}, batch)["contrastive"] / PHOTOS
    loss.backward()
    torch.testing.assert_close(shares["contrastive"], loss.detach())
    torch.testing.assert_close(gradient(stage), gradient(oracle), rtol=1e-5, atol=1e-7)


def test_a_micro_batch_that_does_not_fit_is_halved_until_it_does():
    stage = Comparing()
    forward = stage.forward

    def limited(module, inputs):
        if len(inputs[0]) > 3:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return forward(module, inputs)

    stage.forward = limited
    gradients, batch = make(stage, None)
    gradients.fit(batch, stage.load(batch))
    assert gradients.micro_batch == 3  # of 11, 6
    assert all(value.grad is None for value in stage.module.parameters())
    stage.sizes.clear()
    gradients.add(batch, stage.load(batch))
    assert stage.sizes == [3, 3, 3, 2] * 2


def test_a_photo_that_does_not_fit_alone_is_a_clear_error():
    stage = Comparing()

    def never(module, inputs):
        raise torch.cuda.OutOfMemoryError("out of memory")

    stage.forward = never
    gradients, batch = make(stage, 4)
    with pytest.raises(HomingError, match="not even one photo"):
        gradients.fit(batch, stage.load(batch))
