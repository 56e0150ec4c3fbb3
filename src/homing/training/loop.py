"""One loop for every training stage: batches, losses over all processes, optimiser, checkpoints, history.

A stage gives its module, its losses and its validation; the loop gives the rest. With the same global batch the result
is the same for any number of processes: losses are sums over a process's photos divided by counts over all of them.
"""

import logging
import math
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from homing.errors import HomingError
from homing.training.checkpoint import Checkpoints
from homing.training.distributed import total, world
from homing.training.order import Order, local_slice

log = logging.getLogger(__name__)

AGAIN = 75  # exit status (EX_TEMPFAIL) of a job that stopped by its own clock or a signal: run it again, it resumes
LOGGED_POINTS = 200
LOG_SECONDS = 30


@dataclass(frozen=True)
class Batch:
    """A global batch as this process sees it: its own items, and all processes' items in order, padded."""

    epoch: int
    items: np.ndarray
    real: np.ndarray
    all_items: np.ndarray
    all_real: np.ndarray
    rows: np.ndarray  # positions of the own items among all


class Stage(Protocol):
    """What is trained."""

    photos: int
    module: nn.Module
    weights: Mapping[str, float]

    def losses(self, module: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Per task the sum of the losses of the own photos, and how many count."""

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Figures at the end of an epoch, the same on every process; `score` (lower is better) picks the best epoch."""

    def after_step(self) -> None:
        """What must hold after each optimiser step, such as clamped scales."""


@dataclass
class Progress:
    """Where the training is; saved in every checkpoint."""

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float = math.inf


class Training:
    """A stage under way."""

    def __init__(
        self, stage: Stage, settings: Mapping[str, Any], spec: Mapping[str, Any], accelerator: Accelerator
    ) -> None:
        self.stage, self.settings, self.spec, self.accelerator = stage, settings, spec, accelerator
        self.order = Order(stage.photos, settings["global_batch"], spec["seed"])
        self.steps = max(1, round(settings["epochs"] * self.order.steps_per_epoch))
        self.module = stage.module.to(accelerator.device)
        self.optimizer = make_optimizer(self.module, settings)
        self.wrapped = accelerator.prepare_model(self.module)
        self.checkpoints = Checkpoints(spec["checkpoints"])
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.started = self.saved = self.logged = time.monotonic()
        self.terminated = False

    def run(self) -> None:
        """Train to the end, from the newest checkpoint if there is one; exits with AGAIN when time is up."""
        self._resume()
        signal.signal(signal.SIGTERM, self._terminate)
        while self.progress.step < self.steps:
            stopping = self._step()
            epoch_ends = self.progress.step % self.order.steps_per_epoch == 0 or self.progress.step == self.steps
            if epoch_ends:
                self._validate()
            if stopping or epoch_ends or time.monotonic() - self.saved > 60 * self.spec["checkpoint_minutes"]:
                self._save()
            if stopping and self.progress.step < self.steps:
                log.info("stopped at step %d of %d; run again to go on", self.progress.step, self.steps)
                sys.exit(AGAIN)
        if self.best:
            self.module.load_state_dict(self.best, strict=False)

    def _step(self) -> bool:
        """One optimiser step; returns whether some process wants to stop."""
        epoch, step = divmod(self.progress.step, self.order.steps_per_epoch)
        rate = learning_rate(self.settings, self.progress.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self.stage.losses(self.wrapped, self._batch(epoch, step))
        flags = torch.tensor([float(self._wants_to_stop())], device=self.accelerator.device)
        counts = total(torch.cat([torch.stack([count.float() for _, count in losses.values()]), flags]))
        means = [value / count.clamp(min=1) for (value, _), count in zip(losses.values(), counts, strict=False)]
        loss = sum(self.stage.weights[task] * mean for task, mean in zip(losses, means, strict=True))
        # Distributed data parallel averages gradients over processes; ours are parts of one sum.
        self.accelerator.backward(loss * world()[1])
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.accelerator.clip_grad_norm_(parameters, self.settings["gradient_clip"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.stage.after_step()
        self.progress.step += 1
        self._record(epoch, rate, dict(zip(losses, means, strict=True)), loss)
        return bool(counts[-1] > 0)

    def _batch(self, epoch: int, step: int) -> Batch:
        process, processes = world()
        batch = self.order.batch(epoch, step)
        slices = [local_slice(batch, number, processes) for number in range(processes)]
        items, real = slices[process]
        rows = process * len(items) + np.arange(len(items))
        return Batch(epoch, items, real, *(np.concatenate(part) for part in zip(*slices, strict=True)), rows)

    def _record(self, epoch: int, rate: float, means: dict[str, Tensor], loss: Tensor) -> None:
        step = self.progress.step
        if step % max(1, self.steps // LOGGED_POINTS) and step != self.steps:
            return
        values = total(torch.stack([loss, *means.values()]).detach()).tolist()
        if not math.isfinite(values[0]):
            raise HomingError(
                f"step {step}: the loss is {values[0]}; nothing was overwritten. Lower the learning rate or "
                "use mixed_precision 'no'; the last checkpoint is from before"
            )
        elapsed = time.monotonic() - self.started
        entry = {"step": step, "epoch": epoch, "loss": values[0], "learning_rate": rate}
        entry |= {f"loss.{task}": value for task, value in zip(means, values[1:], strict=True)}
        entry["photos_per_second"] = (step - self.first_step) * self.settings["global_batch"] / elapsed
        self.progress.history.append(entry)
        if time.monotonic() - self.logged > LOG_SECONDS and world()[0] == 0:
            self.logged = time.monotonic()
            left = elapsed / max(1, step - self.first_step) * (self.steps - step) / 60
            rate_text = f"{entry['photos_per_second']:.0f} photos/s, {left:.1f} min left"
            log.info("step %d of %d: loss %.4f, %s", step, self.steps, values[0], rate_text)

    def _validate(self) -> None:
        self.module.eval()
        with torch.inference_mode():
            figures = self.stage.validate(self.module)
        self.module.train()
        score = figures.pop("score", None)
        epoch = (self.progress.step - 1) // self.order.steps_per_epoch
        self.progress.history.append({"step": self.progress.step, "epoch": epoch} | figures)
        if world()[0] == 0:
            log.info("epoch %d: %s", epoch, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        if score is not None and score < self.progress.best_score:
            self.progress.best_score = score
            self.best = {name: value.detach().clone() for name, value in self._trained().items()}

    def _trained(self) -> dict[str, Tensor]:
        """The parameters that training changes."""
        return {name: value for name, value in self.module.named_parameters() if value.requires_grad}

    def _wants_to_stop(self) -> bool:
        over = (time.monotonic() - self.started) / 60 > self.spec["stop_minutes"]
        limit = self.spec.get("stop_after_steps")  # for tests of resuming
        return self.terminated or over or (limit is not None and self.progress.step + 1 >= limit)

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _save(self) -> None:
        self.saved = time.monotonic()
        if world()[0] == 0:
            tensors = {f"model.{name}": value for name, value in self._trained().items()}
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
            tensors |= optimizer_tensors(self.optimizer)
            best = self.progress.best_score
            state = {"step": self.progress.step, "history": self.progress.history}
            state["best_score"] = best if math.isfinite(best) else None
            self.checkpoints.save(self.progress.step, tensors, state)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        found = self.checkpoints.load()
        self.first_step = 0
        if found:
            tensors, state = found
            named = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
            self.module.load_state_dict(named, strict=False)
            self.best = {
                name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")
            }
            restore_optimizer(self.optimizer, tensors)
            best = math.inf if state["best_score"] is None else state["best_score"]
            self.progress = Progress(state["step"], state["history"], best)
            self.first_step = state["step"]
            log.info("resumed at step %d of %d", self.progress.step, self.steps)
        self.started = self.saved = self.logged = time.monotonic()


def make_optimizer(module: nn.Module, settings: Mapping[str, Any]) -> torch.optim.AdamW:
    """AdamW of the stage's settings; weight decay on matrices, not on biases, norms and scales."""
    parameters = [value for value in module.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in parameters if value.dim() >= 2], "weight_decay": settings["weight_decay"]},
        {"params": [value for value in parameters if value.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=settings["learning_rate"], betas=tuple(settings["betas"]), eps=settings["epsilon"]
    )


def learning_rate(settings: Mapping[str, Any], step: int, steps: int) -> float:
    """Linear warm-up, then constant or a linear decay to zero."""
    warmup = settings["warmup_share"] * steps
    if step < warmup:
        return settings["learning_rate"] * (step + 1) / (warmup + 1)
    if settings.get("schedule", "linear") == "constant":
        return settings["learning_rate"]
    return settings["learning_rate"] * (steps - step) / max(1.0, steps - warmup)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, name = rest.split(".")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
