"""What the loop asks of a training stage: pretraining and fine-tuning are the two there are."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from homing.training.data.sampler import Batch

Inputs = tuple[Tensor, ...]
Outputs = Mapping[str, Tensor]


class Stage(Protocol):
    """What is trained.

    photos: how many are in an epoch. weights: of each task in the loss. compares: whether the loss compares the photos
    of the global batch with each other, so that `losses` needs the outputs of all of them, or judges each by itself.
    """

    photos: int
    module: nn.Module
    weights: Mapping[str, float]
    compares: bool

    def load(self, batch: Batch) -> Inputs:
        """What the module reads of a batch's own items: tensors of one row per photo. Called ahead, in a thread."""

    def forward(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """The module's outputs for inputs on its device: one row per photo, or no rows for what all photos share."""

    def counts(self, batch: Batch) -> Mapping[str, Tensor]:
        """Per task, how many photos of the global batch count."""

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Per task, the sum of the losses of the own photos; outputs are the global batch's if the stage compares."""

    def validate(self, module: nn.Module) -> dict[str, Any]:
        """Figures at the end of an epoch, the same on every process; `score` (lower is better) picks the best epoch."""

    def after_step(self) -> None:
        """What must hold after each optimiser step, such as clamped scales."""
