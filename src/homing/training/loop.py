"""One training loop for every stage: batches, gradients, optimiser, checkpoints, history.

A stage provides its module, losses and validation. With the same global batch the result is the same for any number of
processes: losses are sums over a process's photos divided by counts over all processes.
"""

import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from homing.errors import HomingError, TransientError
from homing.model.precision import autocast
from homing.training.accumulate import GradientAccumulator
from homing.training.checkpoint import Checkpoints
from homing.training.data.prefetch import prefetch
from homing.training.data.sampler import Batch, DistributedBatchSampler
from homing.training.distributed import rank, reduce_sum, world_size
from homing.training.meter import Meter
from homing.training.optimiser import Optimizer, learning_rate
from homing.training.progress import Progress
from homing.training.protocol import Inputs, Stage
from homing.training.reporter import Reporter
from homing.training.resume import check_not_superseded, checkpoint_state, find_checkpoint

log = logging.getLogger(__name__)

LOGGED_POINTS = 200
MEMORY_PROBES = 2  # first steps that fit the micro-batch: from the second on, the optimiser's state is in memory


class Trainer:
    """Trains a stage. settings: its section of the configuration; spec: as written by `launch.job.run_stage`."""

    def __init__(
        self, stage: Stage, settings: Mapping[str, Any], spec: Mapping[str, Any], accelerator: Accelerator
    ) -> None:
        self.stage, self.settings, self.spec, self.accelerator = stage, settings, spec, accelerator
        self.sampler = DistributedBatchSampler(stage.photos, settings["global_batch"], spec["seed"])
        self.steps = max(1, round(settings["epochs"] * self.sampler.steps_per_epoch))
        self.module = stage.module.to(accelerator.device)
        self.module.forward = autocast(accelerator.device, settings["mixed_precision"])(self.module.forward)
        self.optimizer = Optimizer(self.module, settings, accelerator.device)
        wrapped = accelerator.prepare_model(self.module)
        backward = self.optimizer.backward
        self.gradients = GradientAccumulator(stage, wrapped, accelerator, backward, spec["seed"], spec["micro_batch"])
        self.memory_probes = MEMORY_PROBES if accelerator.device.type == "cuda" else 0
        self.checkpoints = Checkpoints(spec["checkpoints"], spec["checkpoints_kept"])
        self.progress = Progress()
        self.meter = Meter(accelerator.device)
        self.last_save = time.monotonic()
        self.terminated = False

    def run(self) -> None:
        """Train to the end, from the newest checkpoint if there is one. Raises TransientError if stopped before."""
        self._resume()
        signal.signal(signal.SIGTERM, self._terminate)
        self.reporter = Reporter(self.accelerator, self.spec["stage"], self.progress.step, self.steps)
        self.module.train()  # transformers loads models in evaluation mode
        for batch, inputs, waited_seconds in prefetch(self.stage.load, self._batches()):
            stopping, saving = self._step(batch, inputs, waited_seconds)
            epoch_ends = self.progress.step % self.sampler.steps_per_epoch == 0 or self.progress.step == self.steps
            if epoch_ends:
                self._validate(batch.epoch)
            if stopping or saving or epoch_ends:
                self._save()
            if self._is_finished():
                break
            if stopping:
                raise TransientError(
                    f"stopped at step {self.progress.step} of {self.steps}; the next run resumes from it"
                )
        self._restore_best()
        self.reporter.close()

    def _batches(self) -> Iterator[Batch]:
        steps = range(self.progress.step, self.progress.step if self._is_finished() else self.steps)
        return (self.sampler.local_batch(step, rank(), world_size()) for step in steps)

    def _step(self, batch: Batch, inputs: Inputs, waited_seconds: float) -> tuple[bool, bool]:
        """Take an optimiser step. Return whether any process wants to stop, and whether to save a checkpoint."""
        shares, norm_tensor = self._gradients(batch, inputs)
        own = torch.tensor(
            [waited_seconds, float(self._wants_to_stop()), float(self._wants_to_save())], device=norm_tensor.device
        )
        *sums, waited, stopping, saving = reduce_sum(torch.stack([*shares.values(), *own])).tolist()
        losses = dict(zip(shares, sums, strict=True))
        norm = float(norm_tensor)
        check_finite(batch.step + 1, losses, norm, self.optimizer.may_skip(norm))
        rate = learning_rate(self.settings, batch.step, self.steps)
        self.optimizer.step(rate)
        self.stage.after_step()
        self.progress.step += 1
        self.meter.step(int(batch.all_real.sum()), waited / world_size())
        figures = {"gradient_norm": norm} if math.isfinite(norm) else {}  # else the step was skipped, in fp16
        self._record(batch.epoch, losses, {"learning_rate": rate} | figures)
        return stopping > 0, saving > 0

    def _gradients(self, batch: Batch, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
        """Return this process's shares of the loss by task, and the norm of the global gradient before clipping."""
        if self.memory_probes:
            self.gradients.fit_micro_batch(batch, inputs)
            self.memory_probes -= 1
        try:
            shares = self.gradients.add(batch, inputs)
        except torch.OutOfMemoryError as error:
            raise TransientError(
                f"step {batch.step + 1}: out of GPU memory with a micro-batch of {self.gradients.micro_batch or 'all'} "
                f"photos; lower {self.spec['stage']}.micro_batch (the result stays the same) and run again"
            ) from error
        return shares, self.optimizer.clip()

    def _record(self, epoch: int, losses: Mapping[str, float], figures: Mapping[str, float]) -> None:
        step, loss = self.progress.step, sum(self.stage.weights[task] * value for task, value in losses.items())
        self.reporter.step(loss)
        first = step == self.reporter.first_step + 1
        if first or step % max(1, self.steps // LOGGED_POINTS) == 0 or step == self.steps:
            row = {"step": step, "epoch": epoch, "loss": loss, **figures}
            row |= {f"loss.{task}": value for task, value in losses.items()} | self.meter.read()
            self.progress.history.append(row)
            self.reporter.row(row)

    def _validate(self, epoch: int) -> None:
        self.module.eval()
        with torch.inference_mode():
            figures = self.stage.validate(self.module)
        self.module.train()
        self.progress.validated(figures, epoch)
        self.reporter.validated(self.progress.history[-1])

    def _is_finished(self) -> bool:
        patience = self.settings.get("patience")
        early = patience is not None and self.progress.epochs_since_best >= patience
        return early or self.progress.step >= self.steps

    def _wants_to_stop(self) -> bool:
        last = self.spec.get("stop_after_steps", self.steps)  # for tests of resuming
        return self.terminated or time.time() > self.spec["stop_at"] or self.progress.step + 1 >= last

    def _wants_to_save(self) -> bool:
        """Return True if a checkpoint is due by the clock of the first process: all must save at the same step."""
        return rank() == 0 and time.monotonic() - self.last_save > 60 * self.spec["checkpoint_minutes"]

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _save(self) -> None:
        failure = None
        if self.accelerator.is_main_process:
            try:
                self._write_checkpoint()
            except HomingError as error:
                failure = error
        if reduce_sum(torch.tensor(float(failure is not None), device=self.accelerator.device)):
            raise failure or SystemExit(1)  # all stop together; the first process reports the reason
        self.last_save = time.monotonic()

    def _write_checkpoint(self) -> None:
        check_not_superseded(self.spec)
        trained = {f"model.{name}": value for name, value in self.module.named_parameters() if value.requires_grad}
        tensors = trained | self.optimizer.tensors()
        self.checkpoints.save(self.progress.step, tensors, checkpoint_state(self.progress, self.spec))

    def _resume(self) -> None:
        found = find_checkpoint(self.checkpoints, self.spec, self.accelerator)
        if found:
            tensors, self.progress = found
            self._load_weights(tensors)
            self.optimizer.restore(tensors)
            log.info("resumed at step %d of %d", self.progress.step, self.steps)

    def _restore_best(self) -> None:
        """Load the weights of the best epoch, if the stage validates with a score."""
        best = self.progress.best_step
        if best is not None and best != self.progress.step:
            first = self.accelerator.is_main_process  # verifies the checksums for all
            self._load_weights(self.checkpoints.load(best, check=first)[0])

    def _load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        prefix = "model."
        named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        self.module.load_state_dict(named, strict=False)


def check_finite(step: int, losses: Mapping[str, float], norm: float, may_skip: bool) -> None:
    """Raise HomingError, on all processes, if a loss is not finite, or the norm if the step may not be skipped."""
    wrong = [f"the loss of {task} is {value}" for task, value in losses.items() if not math.isfinite(value)]
    wrong += [] if may_skip else [f"the norm of the gradient is {norm}"]
    if wrong:
        raise HomingError(
            f"step {step}: {', '.join(wrong)}; the weights and the last checkpoint are unaffected. Lower the learning "
            "rate, set mixed_precision to 'no', or look for labels that are not numbers"
        )
