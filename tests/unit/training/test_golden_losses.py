"""The losses of the first 100 steps of both stages, compared with those kept in golden_losses.json.

A refactor must not shift them. After a change that is meant to, or a new version of the libraries that decode images,
write the file again and say why in the commit: `python tests/unit/training/test_golden_losses.py`

The steps are taken in float64. In float32 the sums of another CPU's kernels (AVX2, AVX-512) shift the losses by up to
5e-6 within 100 steps, more than many a mistake does; in float64 by less than 1e-12, far below the tolerance.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "helpers"))

from small_world import CAPTIONS, FINETUNE, MODEL, PRETRAIN, run_module, train, write_world

from homing.training import finetune, pretrain

GOLDEN = Path(__file__).with_name("golden_losses.json")
STAGES = ("pretrain", "finetune")
TOLERANCE = 1e-6  # relative
# What the other tests leave out is part of it: gradient accumulation, patch dropout, the loss of the hierarchy.
CHANGES = {"epochs": 25, "patch_dropout": 0.25}  # 25 epochs of ceil(41 / 12) steps
MICRO_BATCH = 5
SETTINGS = {
    "seed": 5,
    "model": MODEL,
    "captions": CAPTIONS,
    "pretrain": PRETRAIN | CHANGES,
    "finetune": FINETUNE | CHANGES | {"weights": FINETUNE["weights"] | {"hierarchy": 0.3}},
}


def run_in_float64(stage: str, spec: Path, log: Path) -> None:
    """`run_module` with weights and all arithmetic in float64: what asks for float32 gets float64."""
    module = {"pretrain": pretrain, "finetune": finetune}[stage]
    prepare = module.prepare

    def prepare_in_float64(*arguments):
        prepared = prepare(*arguments)
        prepared.module.double()
        return prepared

    module.prepare = prepare_in_float64
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    run_module(stage, spec, log)


def redraw_weights(path: Path) -> None:
    """Draw the random weights of an encoder with numpy: torch's draws differ in the last bit between CPUs."""
    rng = np.random.default_rng(0)
    weights = {
        name: value if is_constant(value) else torch.from_numpy(rng.normal(0, 0.02, value.shape)).to(value.dtype)
        for name, value in sorted(load_file(path).items())
    }
    save_file(weights, path, metadata={"format": "pt"})


def is_constant(value: torch.Tensor) -> bool:
    return bool((value == value.flatten()[0]).all())  # biases and norms


def measure(folder: Path) -> dict[str, list[float]]:
    """Train both stages in `folder`; returns the loss of every step."""
    inputs = write_world(folder / "world")
    redraw_weights(Path(inputs["encoder"]) / "model.safetensors")
    hierarchy = folder / "hierarchy.parquet"
    levels = [(0, 0, None), (0, 1, None), *((1, cell, cell // 4) for cell in range(7))]
    pd.DataFrame(levels, columns=["level", "node", "parent"]).to_parquet(hierarchy)
    losses = {}
    for stage in STAGES:
        more = {"settings": SETTINGS, "micro_batch": MICRO_BATCH, "run": run_in_float64}
        trained = train(inputs | {"hierarchy": str(hierarchy)}, folder / stage, stage, **more)
        assert trained.status == 0, (folder / stage / "log.txt").read_text()
        losses[stage] = trained.losses
    return losses


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict[str, list[float]]:
    return measure(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("stage", STAGES)
def test_the_first_hundred_losses_are_the_golden_ones(measured, stage):
    golden = json.loads(GOLDEN.read_text())[stage]
    assert len(golden) == 100
    assert measured[stage] == pytest.approx(golden, rel=TOLERANCE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        lines = [
            f'  "{stage}": [\n    ' + ",\n    ".join(map(repr, values)) + "\n  ]"
            for stage, values in measure(Path(name)).items()
        ]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
