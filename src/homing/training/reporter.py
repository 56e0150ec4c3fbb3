"""Progress of a running training: a bar on a terminal, else log lines; TensorBoard and other trackers."""

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
    """Reports one launch, from the first process only."""

    def __init__(self, accelerator: Accelerator, stage: str, first_step: int, steps: int) -> None:
        self.accelerator, self.first_step, self.steps = accelerator, first_step, steps
        self.started = time.monotonic()
        self.last_line = self.started - LINE_SECONDS  # so that the first row is logged at once
        self.validation: dict[str, float] = {}
        # TensorBoard drops the steps that an interrupted launch had logged beyond its last checkpoint.
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
        """Advance the bar by a step."""
        if self.bar is not None:
            self.bar.set_postfix({"loss": f"{loss:.4f}"} | _short(self.validation), refresh=False)
            self.bar.update()

    def row(self, row: Mapping[str, Any]) -> None:
        """Send a row of the history to the trackers and, every `LINE_SECONDS`, to the log."""
        self.accelerator.log(dict(row), step=row["step"])
        now = time.monotonic()
        if self.bar is None and (now - self.last_line >= LINE_SECONDS or row["step"] == self.steps):
            self.last_line = now
            self._log(line(row, self.validation, self.steps, self._minutes_left(row["step"])))

    def validated(self, figures: Mapping[str, Any]) -> None:
        """Report the validation figures of an epoch; the log lines that follow repeat them."""
        self.accelerator.log(dict(figures), step=figures["step"])
        self.validation = {name: value for name, value in figures.items() if name.startswith("val_")}
        self._log(f"epoch {figures['epoch']}: {_join(self.validation)}")

    def close(self) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def _minutes_left(self, step: int) -> float:
        done = max(1, step - self.first_step)
        return (time.monotonic() - self.started) / done * (self.steps - step) / 60

    def _log(self, text: str) -> None:
        if self.accelerator.is_main_process:
            log.info("%s", text)


def line(row: Mapping[str, Any], validation: Mapping[str, float], steps: int, minutes_left: float) -> str:
    """Format a log line: losses, validation, throughput, memory and time left."""
    tasks = {name.removeprefix("loss."): value for name, value in row.items() if name.startswith("loss.")}
    parts = [f"step {row['step']} of {steps}: loss {row['loss']:.4f}" + (f" ({_join(tasks)})" if tasks else "")]
    if validation:
        parts.append(_join(validation))
    parts.append(f"{row['photos_per_second']:.0f} photos/s")
    parts.append(f"{row['waiting_share']:.1%} waiting for data")
    parts.append(f"{row['memory_mb'] / 1000:.1f} GB")
    parts.append(f"{minutes_left:.1f} min left")
    return ", ".join(parts)


def _join(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _short(figures: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.4g}" for name, value in figures.items()}
