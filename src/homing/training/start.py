"""What every process of a training job does first and last."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from homing.errors import HomingError
from homing.files import atomic_path, read_json
from homing.jobs import log, start_log
from homing.training.loop import Stage, Training

Spec = Mapping[str, Any]
PATIENCE = timedelta(minutes=30)  # a process may decode or validate this long while the others wait


def main(
    prepare: Callable[[Spec, torch.device], Stage], finish: Callable[[Stage, Spec], None], settings_key: str
) -> None:
    """Read the spec named on the command line, train the stage, let the first process write its outputs."""
    spec = read_json(sys.argv[1])
    settings = spec["settings"][settings_key]
    start_log(line="%(message)s")  # the rule's job adds the time
    torch.set_num_threads(spec["threads"])
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision=settings["mixed_precision"],
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    if not accelerator.is_main_process:
        log.setLevel("WARNING")
    try:
        stage = prepare(spec, accelerator.device)
        training = Training(stage, settings, spec, accelerator)
        training.run()
    except HomingError as error:
        log.error("error: %s", error)
        sys.exit(1)
    if accelerator.is_main_process:
        finish(stage, spec)
        write_history(spec["outputs"]["history"], training.progress.history)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def write_history(path: str | Path, history: list[dict[str, float]]) -> None:
    """One JSON object per logged step."""
    with atomic_path(path) as partial:
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in history), encoding="utf-8")
