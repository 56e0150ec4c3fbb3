"""The entry point of every process of a training job."""

import sys
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.tracking import get_available_trackers

from homing.errors import HomingError
from homing.files import read_json, translate_disk_full, write_json_lines
from homing.jobs.job import log, start_log
from homing.training.launch.processes import die_with_parent, report_error
from homing.training.loop import Trainer
from homing.training.protocol import Stage

Spec = Mapping[str, Any]
StageT = TypeVar("StageT", bound=Stage)
TIMEOUT = timedelta(minutes=30)  # for a process to decode or validate while the others wait


def main(
    prepare: Callable[[Spec, torch.device], StageT], finish: Callable[[StageT, Spec], None], settings_key: str
) -> None:
    """Read the spec named on the command line, train its stage, and write the outputs from the first process.

    prepare: builds the stage. finish: writes its outputs. settings_key: the stage's section of the settings.
    """
    die_with_parent()
    spec = read_json(sys.argv[1])
    start_log(line="%(message)s")  # the rule's job adds the time
    torch.set_num_threads(spec["torch_threads"])
    try:
        accelerator = make_accelerator(spec)
        if not accelerator.is_main_process:
            log.setLevel("WARNING")
        stage = prepare(spec, accelerator.device)
        training = Trainer(stage, spec["settings"][settings_key], spec, accelerator)
        training.run()
        if accelerator.is_main_process:
            with translate_disk_full():
                finish(stage, spec)
                write_history(spec["outputs"]["history"], training.progress.history)
    except HomingError as error:
        log.error("error: %s", error)
        report_error(spec, error)
        sys.exit(1)
    accelerator.wait_for_everyone()
    accelerator.end_training()  # closes trackers and process group


def make_accelerator(spec: Spec) -> Accelerator:
    """Return the Accelerator of this process. Raises HomingError if a tracker is not installed."""
    trackers = ["tensorboard", *spec["trackers"]]
    available = [str(name) for name in get_available_trackers()]
    for name in trackers:
        if name not in available:
            raise HomingError(
                f"trackers: {name!r} is not available because its package is not installed (pip install {name})"
            )
    # A process must be able to run forward without the others (`fit_micro_batch`), and our buffers are constants.
    ddp = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)  # accelerate has no newer name for it yet
    return Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision="no",  # `homing.model.precision` does it, so that fp16 is tested without a GPU
        log_with=trackers,
        project_dir=spec["reports"],
        kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT), ddp],
    )


def write_history(path: str | Path, history: list[dict[str, Any]]) -> None:
    """Write one JSON object per logged step or epoch; figures that are not finite become null."""
    write_json_lines(path, history, non_finite_as_null=True)
