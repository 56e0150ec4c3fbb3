"""The progress of a training: step, history and best epoch. Every checkpoint holds it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Progress:
    """history: one row per logged step and per epoch. best_step: the step with the lowest validation score."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_score: float | None = None
    best_step: int | None = None
    epochs_since_best: int = 0

    def validated(self, figures: Mapping[str, Any], epoch: int) -> None:
        """Add the validation figures of an epoch. A `score` among them updates the best epoch and is not logged."""
        figures = dict(figures)
        score = figures.pop("score", None)
        self.history.append({"step": self.step, "epoch": epoch} | figures)
        if score is None:
            return
        best = math.inf if self.best_score is None else self.best_score
        if score < best:
            self.best_score, self.best_step, self.epochs_since_best = score, self.step, 0
        else:
            self.epochs_since_best += 1

    def state(self) -> dict[str, Any]:
        """Return the fields as JSON types: `Progress(**state)` restores them."""
        return asdict(self)
