"""Resuming: the state kept in a checkpoint, and which checkpoint a launch resumes from."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from homing.errors import HomingError, TransientError
from homing.files import read_json
from homing.training.checkpoint import Checkpoints
from homing.training.distributed import reduce_sum
from homing.training.progress import Progress

NO_CHECKPOINT = -1


def checkpoint_state(progress: Progress, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of state.json: the progress, what the training depends on and what it was made with.

    No state of random generators is needed: every draw depends only on the seed and the position in the data.
    """
    made_with = {name: spec[name] for name in ("fingerprint", "seed", "settings", "provenance")}
    return {"best_step": progress.best_step, "progress": progress.state()} | made_with


def find_checkpoint(
    checkpoints: Checkpoints, spec: Mapping[str, Any], accelerator: Accelerator
) -> tuple[dict[str, Tensor], Progress] | None:
    """Return tensors and progress of the newest intact checkpoint, which the first process selects and verifies.

    Return None if there is none. Raises HomingError if it belongs to another training.
    """
    step = checkpoints.newest() if accelerator.is_main_process else 0
    step = int(reduce_sum(torch.tensor(NO_CHECKPOINT if step is None else step, device=accelerator.device)))
    if step == NO_CHECKPOINT:
        return None
    tensors, state = checkpoints.load(step, check=False)
    if state["fingerprint"] != spec["fingerprint"]:
        raise HomingError(
            f"{checkpoints.folder}: its checkpoints belong to another training: {first_difference(state, spec)}. "
            "Restore that, or remove the folder to start from the beginning"
        )
    return tensors, Progress(**state["progress"])


def check_not_superseded(spec: Mapping[str, Any]) -> None:
    """Raise TransientError if another launch has taken over this training, for example after a node seemed lost.

    Each launch overwrites the spec of the launch before it.
    """
    if read_json(spec["path"])["launch"] != spec["launch"]:
        raise TransientError(f"{spec['checkpoints']}: another job has taken over this training; this one stops")


def first_difference(state: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Describe the first setting that differs; if none does, the input files or the code have changed."""
    before, now = _flat(state["settings"]), _flat(spec["settings"])
    for name in sorted(before | now):
        if before.get(name) != now.get(name):
            return f"{name} was {before.get(name)!r}, it is now {now.get(name)!r}"
    return "the input files or the code have changed"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(settings)).items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
