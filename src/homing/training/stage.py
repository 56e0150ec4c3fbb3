"""From a rule to a training job: its spec, its checkpoints, its launch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homing.files import write_json
from homing.training.checkpoint import Checkpoints
from homing.training.launch import launch

MARGIN_MINUTES = 5  # before the wall time, to save and end


def run_stage(
    module: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
    sizes: Mapping[str, Any],
    threads: int,
    runtime_minutes: float,
    checkpoints: Path,
) -> None:
    """Train the stage of a module ("homing.training.pretrain") to the end of its outputs.

    settings: {"config": slice, "code": fingerprint}, which with the content of the inputs names the checkpoints: a job
    resumes only what was trained on the same. Checkpoints are removed when the outputs are written.
    """
    fingerprint = hashlib.sha256(json.dumps([settings, describe(inputs)], sort_keys=True).encode()).hexdigest()[:16]
    folder = checkpoints / module.rsplit(".", 1)[1] / fingerprint
    spec = {
        "inputs": dict(inputs),
        "outputs": dict(outputs),
        "settings": settings["config"],
        "seed": settings["config"]["seed"],
        "checkpoints": str(folder),
        "checkpoint_minutes": sizes["checkpoint_minutes"],
        "stop_minutes": max(1.0, runtime_minutes - MARGIN_MINUTES),
        "threads": max(1, threads // sizes["processes_per_node"]),
    }
    path = folder / "spec.json"
    write_json(path, spec)
    launch(module, path, sizes, threads)
    Checkpoints(folder).remove()


def describe(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Sizes of the input files, by name: enough to tell one set of inputs from another without reading them."""
    described: dict[str, Any] = {}
    for name, path in inputs.items():
        files = sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(path)]
        described[name] = [(str(file), file.stat().st_size) for file in files if file.is_file()]
    return described
