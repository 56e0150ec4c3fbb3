"""What a checkpoint says about its training, and which one a launch goes on from."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from homing.errors import HomingError, TransientError
from homing.files import read_json
from homing.training.checkpoint import Checkpoints
from homing.training.distributed import total
from homing.training.progress import Progress

NONE = -1  # the step of no checkpoint


def checkpoint_state(progress: Progress, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in state.json beside the progress: what the training depends on, and what it is made with.

    No generator's state: whatever is drawn depends on the seed and the place in the data, which is the step's.
    """
    made_with = {name: spec[name] for name in ("fingerprint", "seed", "settings", "provenance")}
    return {"best_step": progress.best_step, "progress": progress.state()} | made_with


def find_checkpoint(
    checkpoints: Checkpoints, spec: Mapping[str, Any], accelerator: Accelerator
) -> tuple[dict[str, Tensor], Progress] | None:
    """Tensors and progress of the newest whole checkpoint; the first process chooses and checks it for all.

    Raises HomingError when it is of another training.
    """
    step = checkpoints.newest() if accelerator.is_main_process else 0
    step = int(total(torch.tensor(NONE if step is None else step, device=accelerator.device)))
    if step == NONE:
        return None
    tensors, state = checkpoints.load(step, check=False)
    if state["fingerprint"] != spec["fingerprint"]:
        raise HomingError(
            f"{checkpoints.folder}: its checkpoints are of another training: {first_difference(state, spec)}. Train "
            "with what they were made with, or remove the folder to begin anew"
        )
    return tensors, Progress(**state["progress"])


def check_still_ours(spec: Mapping[str, Any]) -> None:
    """Raise TransientError when another launch has taken this training over, as of a node that was lost but lives on.

    Each launch writes its spec where the one before had its own.
    """
    if read_json(spec["path"])["launch"] != spec["launch"]:
        raise TransientError(f"{spec['checkpoints']}: another job has taken this training over; this one ends")


def first_difference(state: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """The first setting that differs, or that it must be the input files or the code."""
    before, now = _flat(state["settings"]), _flat(spec["settings"])
    for name in sorted(before | now):
        if before.get(name) != now.get(name):
            return f"{name} was {before.get(name)!r}, now it is {now.get(name)!r}"
    return "the input files or the code have changed"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(settings)).items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
