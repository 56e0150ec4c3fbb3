"""What the training loop requires of a stage. There are two: pretraining and fine-tuning."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from homing.training.data.sampler import Batch

Inputs = tuple[Tensor, ...]
Outputs = Mapping[str, Tensor]


class Differentiable(Protocol):
    """A module with its loss: what gradient accumulation needs of a stage."""

    @property
    def module(self) -> nn.Module:
        """The module to train."""

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each task in the loss."""

    @property
    def compares(self) -> bool:
        """True if the loss compares the photos of the global batch with each other, as a contrastive one does.

        `losses` then takes the outputs of the whole global batch, else those of the own photos.
        """

    def forward(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Return the module's outputs for inputs on its device: one row per photo, or a scalar that all share."""

    def counts(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return per task the number of photos of the global batch that have a label for it."""

    def losses(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Return per task the sum of the losses of the own photos."""


class Stage(Differentiable, Protocol):
    """A training stage."""

    @property
    def photos(self) -> int:
        """The number of photos in an epoch."""

    def load(self, batch: Batch) -> Inputs:
        """Return the inputs of the own items, one row per photo in each tensor. Called in the prefetching thread."""

    def validate(self, module: nn.Module) -> dict[str, Any]:
        """Return figures at the end of an epoch, equal on all processes; the lowest `score` marks the best epoch."""

    def after_step(self) -> None:
        """Restore what must hold after each optimiser step, such as clamped scales."""
