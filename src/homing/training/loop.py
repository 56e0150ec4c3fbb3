"""One loop for every training stage: batches, gradients, optimiser, checkpoints, history.

A stage gives its module, its losses and its validation; the loop gives the rest. With the same global batch the result
is the same for any number of processes: losses are sums over a process's photos divided by counts over all of them.
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
from homing.training.accumulate import Gradients
from homing.training.checkpoint import Checkpoints
from homing.training.data.prefetch import load_ahead
from homing.training.data.sampler import Batch, Order
from homing.training.distributed import total, world
from homing.training.meter import Meter
from homing.training.optimiser import Optimizer, learning_rate
from homing.training.progress import Progress
from homing.training.protocol import Inputs, Stage
from homing.training.reporter import Reporter
from homing.training.resume import check_still_ours, checkpoint_state, find_checkpoint

log = logging.getLogger(__name__)

LOGGED_POINTS = 200
REHEARSED_STEPS = 2  # the second has the optimiser's moments in memory too


class Training:
    """A stage under way. settings: its section of the configuration; spec: what `stage.run_stage` writes."""

    def __init__(
        self, stage: Stage, settings: Mapping[str, Any], spec: Mapping[str, Any], accelerator: Accelerator
    ) -> None:
        self.stage, self.settings, self.spec, self.accelerator = stage, settings, spec, accelerator
        self.order = Order(stage.photos, settings["global_batch"], spec["seed"])
        self.steps = max(1, round(settings["epochs"] * self.order.steps_per_epoch))
        self.module = stage.module.to(accelerator.device)
        self.module.forward = autocast(accelerator.device, settings["mixed_precision"])(self.module.forward)
        self.optimizer = Optimizer(self.module, settings, accelerator.device)
        wrapped = accelerator.prepare_model(self.module)
        backward = self.optimizer.backward
        self.gradients = Gradients(stage, wrapped, accelerator, backward, spec["seed"], spec["micro_batch"])
        self.rehearsals = REHEARSED_STEPS if accelerator.device.type == "cuda" else 0
        self.checkpoints = Checkpoints(spec["checkpoints"], spec["checkpoints_kept"])
        self.progress = Progress()
        self.meter = Meter(accelerator.device)
        self.saved = time.monotonic()
        self.terminated = False

    def run(self) -> None:
        """Train to the end, from the newest checkpoint if there is one. Raises HomingError when time is up before."""
        self._resume()
        signal.signal(signal.SIGTERM, self._terminate)
        self.reporter = Reporter(self.accelerator, self.spec["stage"], self.progress.step, self.steps)
        self.module.train()  # what is read from a file is as in evaluation
        for batch, inputs, waited_seconds in load_ahead(self.stage.load, self._batches()):
            stopping, saving = self._step(batch, inputs, waited_seconds)
            epoch_ends = self.progress.step % self.order.steps_per_epoch == 0 or self.progress.step == self.steps
            if epoch_ends:
                self._validate(batch.epoch)
            if stopping or saving or epoch_ends:
                self._save()
            if self._is_finished():
                break
            if stopping:
                raise TransientError(
                    f"stopped at step {self.progress.step} of {self.steps}; the next run goes on from it"
                )
        self._take_best()
        self.reporter.close()

    def _batches(self) -> Iterator[Batch]:
        coming = range(self.progress.step, self.progress.step if self._is_finished() else self.steps)
        return (self.order.view(step, *world()) for step in coming)

    def _step(self, batch: Batch, inputs: Inputs, waited_seconds: float) -> tuple[bool, bool]:
        """One optimiser step; whether some process wants to stop, and whether it is time to save."""
        shares, norm = self._gradients(batch, inputs)
        flags = [waited_seconds, float(self._wants_to_stop()), float(self._wants_to_save())]
        seen = total(torch.stack([*shares.values(), *torch.tensor(flags, device=norm.device)])).tolist()
        losses = dict(zip(shares, seen, strict=False))
        norm = float(norm)
        check_finite(batch.step + 1, losses, norm, self.optimizer.bears(norm))
        rate = learning_rate(self.settings, batch.step, self.steps)
        self.optimizer.step(rate)
        self.stage.after_step()
        self.progress.step += 1
        waited, stopping, saving = seen[-3:]
        self.meter.step(int(batch.all_real.sum()), waited / world()[1])
        figures = {"gradient_norm": norm} if math.isfinite(norm) else {}  # else the step was left out, in fp16
        self._record(batch.epoch, losses, {"learning_rate": rate} | figures)
        return stopping > 0, saving > 0

    def _gradients(self, batch: Batch, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
        """This process's shares of the loss by task, and the norm of everyone's gradient, which is then clipped."""
        if self.rehearsals:
            self.gradients.fit(batch, inputs)
            self.rehearsals -= 1
        try:
            shares = self.gradients.add(batch, inputs)
        except torch.OutOfMemoryError as error:
            raise TransientError(
                f"step {batch.step + 1}: out of GPU memory with {self.gradients.micro_batch or 'all'} photos at once; "
                f"set {self.spec['stage']}.micro_batch to fewer (the result stays the same) and run again"
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
        """By the first process's clock: all must save at the same step."""
        return world()[0] == 0 and time.monotonic() - self.saved > 60 * self.spec["checkpoint_minutes"]

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _save(self) -> None:
        failure = None
        if self.accelerator.is_main_process:
            try:
                self._write_checkpoint()
            except HomingError as error:
                failure = error
        if total(torch.tensor(float(failure is not None), device=self.accelerator.device)):
            raise failure or SystemExit(1)  # all end together; the first process has told why
        self.saved = time.monotonic()

    def _write_checkpoint(self) -> None:
        check_still_ours(self.spec)
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

    def _take_best(self) -> None:
        """The weights of the best validated epoch, where a score was measured."""
        if self.progress.best_step not in (None, self.progress.step):
            first = self.accelerator.is_main_process  # which sums the files for all
            self._load_weights(self.checkpoints.load(self.progress.best_step, check=first)[0])

    def _load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        prefix = "model."
        named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        self.module.load_state_dict(named, strict=False)


def check_finite(step: int, losses: Mapping[str, float], norm: float, bearable: bool) -> None:
    """Raise HomingError, on every process alike, when a loss is not finite, or the gradient's norm and unbearable."""
    wrong = [f"the loss of {task} is {value}" for task, value in losses.items() if not math.isfinite(value)]
    wrong += [] if bearable else [f"the norm of the gradient is {norm}"]
    if wrong:
        raise HomingError(
            f"step {step}: {', '.join(wrong)}; no weights were changed and the last checkpoint is from before. Lower "
            "the learning rate, use mixed_precision 'no', or look for labels that are no numbers"
        )
