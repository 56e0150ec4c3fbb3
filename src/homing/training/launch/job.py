"""The training job of a rule: its spec, its checkpoints, its launch."""

import time
import uuid
from pathlib import Path
from typing import Any

from homing.config import configuration
from homing.jobs.fingerprint import of_inputs, of_values
from homing.jobs.provenance import git_commit, versions
from homing.training.checkpoint import Checkpoints
from homing.training.launch.accelerate import allocated, launch

CHECKPOINTS = Path("results/checkpoints")
MARGIN_MINUTES = 5  # before the wall time, to save and end


def run_stage(module: str, rule: Any) -> None:
    """Train the stage of a module ("homing.training.pretrain") to the end of a rule's outputs.

    rule: what Snakemake gives a script (input, output, params, config, wildcards, threads, resources, log). Settings
    and the content of the inputs name the checkpoints, so that a job resumes only a training on the same inputs. The
    checkpoints are removed when the outputs are written.
    """
    inputs, settings = dict(rule.input.items()), rule.params.settings
    stage = module.rsplit(".", 1)[1]
    # How a job is sized and reported is no part of params: it does not change the result.
    config = configuration.run_config(configuration.resolve(rule.config), rule.wildcards.run)
    launched = config[stage]
    sizes = allocated(rule.resources, rule.threads, launched["processes_per_node"])
    fingerprint = of_values([settings, of_inputs(inputs)])[:16]
    folder = CHECKPOINTS / stage / fingerprint
    spec = {
        "path": str(folder / "spec.json"),
        "launch": uuid.uuid4().hex,
        "stage": stage,
        "inputs": inputs,
        "outputs": dict(rule.output.items()),
        "settings": settings["config"],
        "seed": settings["config"]["seed"],
        "fingerprint": fingerprint,
        "provenance": {"versions": versions(), "git_commit": git_commit(Path.cwd())},
        "checkpoints": str(folder),
        "checkpoints_kept": launched["checkpoints_kept"],
        "checkpoint_minutes": launched["checkpoint_minutes"],
        "stop_at": time.time() + 60 * max(1.0, rule.resources.runtime - MARGIN_MINUTES),
        "micro_batch": launched["micro_batch"],
        "threads": sizes.cores_per_process,  # that decode photos
        "torch_threads": settings["config"]["torch_threads"],
        "trackers": config["trackers"],
        "reports": str(Path(rule.log[0]).parent / "tensorboard"),
    }
    launch(module, spec, sizes)
    Checkpoints(folder).remove()
