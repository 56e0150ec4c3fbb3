"""From a rule to a training job: its spec, its checkpoints, its launch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homing import config as configuration
from homing.files import write_json
from homing.training.checkpoint import Checkpoints
from homing.training.launch import launch

CHECKPOINTS = Path("results/checkpoints")
MARGIN_MINUTES = 5  # before the wall time, to save and end


def run_stage(module: str, rule: Any) -> None:
    """Train the stage of a module ("homing.training.pretrain") to the end of a rule's outputs.

    rule: what Snakemake gives a script (input, output, params, config, threads, resources). Settings and inputs name
    the checkpoints: a job resumes only what was trained on the same. They are removed when the outputs are written.
    """
    inputs, settings = dict(rule.input.items()), rule.params.settings
    stage = module.rsplit(".", 1)[1]
    # How many nodes and processes there are is no part of params: it does not change the result.
    sizes = configuration.resolve(rule.config)[stage]
    fingerprint = hashlib.sha256(json.dumps([settings, describe(inputs)], sort_keys=True).encode()).hexdigest()[:16]
    folder = CHECKPOINTS / stage / fingerprint
    spec = {
        "inputs": inputs,
        "outputs": dict(rule.output.items()),
        "settings": settings["config"],
        "seed": settings["config"]["seed"],
        "checkpoints": str(folder),
        "checkpoint_minutes": sizes["checkpoint_minutes"],
        "stop_minutes": max(1.0, rule.resources.runtime - MARGIN_MINUTES),
        "threads": max(1, rule.threads // sizes["processes_per_node"]),
    }
    path = folder / "spec.json"
    write_json(path, spec)
    launch(module, path, sizes, rule.threads)
    Checkpoints(folder).remove()


def describe(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Sizes of the input files, by name: enough to tell one set of inputs from another without reading them."""
    described: dict[str, Any] = {}
    for name, path in inputs.items():
        files = sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(path)]
        described[name] = [(str(file), file.stat().st_size) for file in files if file.is_file()]
    return described
