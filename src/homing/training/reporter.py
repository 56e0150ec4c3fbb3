"""What is seen of a training while it runs: a bar on a terminal or else a line per interval, TensorBoard, trackers."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm

from homing.training.launch.processes import TERMINAL

log = logging.getLogger(__name__)

LINE_SECONDS = 30


class Reporter:
    """The reports of one launch, by the first process alone."""

    def __init__(self, accelerator: Accelerator, stage: str, first_step: int, steps: int) -> None:
        self.accelerator, self.first_step, self.steps = accelerator, first_step, steps
        self.started = time.monotonic()
        self.lined = self.started - LINE_SECONDS  # the first row is a sign of life
        self.validation: dict[str, float] = {}
        # TensorBoard shows no step twice that a broken launch had gone further to.
        purge = {"tensorboard": {"purge_step": first_step + 1}}
        accelerator.init_trackers(stage, init_kwargs=purge)
        self.bar = self._bar(stage) if accelerator.is_main_process else None

    def _bar(self, stage: str) -> tqdm | None:
        terminal = os.environ.get(TERMINAL)
        if not terminal:
            return None
        file = Path(terminal).open("w", encoding="utf-8")  # noqa: SIM115  open as long as the bar is
        return tqdm(desc=stage, unit="step", initial=self.first_step, total=self.steps, file=file, dynamic_ncols=True)

    def step(self, loss: float) -> None:
        """A step is done."""
        if self.bar is not None:
            self.bar.set_postfix({"loss": f"{loss:.4f}"} | _short(self.validation), refresh=False)
            self.bar.update()

    def row(self, row: Mapping[str, Any]) -> None:
        """A row of the history: to the trackers, and now and then a line of the log."""
        self.accelerator.log(dict(row), step=row["step"])
        now = time.monotonic()
        if self.bar is None and (now - self.lined >= LINE_SECONDS or row["step"] == self.steps):
            self.lined = now
            self._say(line(row, self.validation, self.steps, self._minutes_left(row["step"])))

    def validated(self, figures: Mapping[str, Any]) -> None:
        """The figures of an epoch's end, which the lines that follow repeat."""
        self.accelerator.log(dict(figures), step=figures["step"])
        self.validation = {name: value for name, value in figures.items() if name.startswith("val_")}
        self._say(f"epoch {figures['epoch']}: {_listed(self.validation)}")

    def close(self) -> None:
        """Leave the terminal in order."""
        if self.bar is not None:
            self.bar.close()

    def _minutes_left(self, step: int) -> float:
        done = max(1, step - self.first_step)
        return (time.monotonic() - self.started) / done * (self.steps - step) / 60

    def _say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            log.info("%s", text)


def line(row: Mapping[str, Any], validation: Mapping[str, float], steps: int, minutes_left: float) -> str:
    """One line that says how the training is doing."""
    tasks = {name.removeprefix("loss."): value for name, value in row.items() if name.startswith("loss.")}
    parts = [f"step {row['step']} of {steps}: loss {row['loss']:.4f}" + (f" ({_listed(tasks)})" if tasks else "")]
    if validation:
        parts.append(_listed(validation))
    parts.append(f"{row['photos_per_second']:.0f} photos/s")
    parts.append(f"{row['waiting_share']:.1%} waiting for data")
    parts.append(f"{row['memory_mb'] / 1000:.1f} GB")
    parts.append(f"{minutes_left:.1f} min left")
    return ", ".join(parts)


def _listed(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _short(figures: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.4g}" for name, value in figures.items()}
