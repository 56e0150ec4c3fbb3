"""The gradients of a global batch, taken in parts that fit into memory and equal to those of the whole.

Losses that judge each photo by itself are added up part by part. A contrastive loss compares all photos of the global
batch with each other, and takes three passes (cached gradients; Gao et al., "Scaling Deep Contrastive Learning Batch
Size under Memory Limited Setup", 2021): embed all parts without a graph; the loss of all embeddings, and its gradient
at each of them; embed each part again and send the gradients at its embeddings on into the weights.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from homing.errors import HomingError
from homing.model.encoders import forget_programs
from homing.training.data.sampler import Batch
from homing.training.distributed import gather, total, world
from homing.training.protocol import Inputs, Outputs, Stage

log = logging.getLogger(__name__)


class Gradients:
    """Adds the gradients of a stage's global batches to its weights, `micro_batch` photos per process at once.

    backward: takes a loss, and adds its gradients or a multiple of them.
    """

    def __init__(
        self,
        stage: Stage,
        wrapped: nn.Module,
        accelerator: Accelerator,
        backward: Callable[[Tensor], None],
        seed: int,
        micro_batch: int | None,
    ) -> None:
        self.stage, self.wrapped, self.accelerator, self.backward = stage, wrapped, accelerator, backward
        self.seed, self.micro_batch = seed, micro_batch

    def add(self, batch: Batch, inputs: Inputs) -> dict[str, Tensor]:
        """Add a batch's gradients; returns this process's share of the loss by task (shares add up to the mean)."""
        return self._run(batch, inputs, alone=False)

    def fit(self, batch: Batch, inputs: Inputs) -> None:
        """Halve the micro-batch until the work of a step fits into the memory of every process.

        The work is done without the other processes and its gradients are dropped: a process that runs out of memory
        in the middle of a step would leave the others waiting for it.
        """
        while not self._fits(batch, inputs):
            size = min(self.micro_batch or len(batch.items), len(batch.items))
            if size == 1:
                raise HomingError("not even one photo fits into the GPU's memory; use a smaller model or a larger GPU")
            self.micro_batch = -(-size // 2)
            forget_programs()
            log.info("%d photos at once do not fit into memory; trying %d", size, self.micro_batch)

    def _fits(self, batch: Batch, inputs: Inputs) -> bool:
        exceeded = False
        try:
            self._run(batch, inputs, alone=True)
        except torch.OutOfMemoryError:
            exceeded = True
        self.stage.module.zero_grad(set_to_none=True)
        if exceeded:
            torch.cuda.empty_cache()
        return not total(torch.tensor(float(exceeded), device=self.accelerator.device))

    def _run(self, batch: Batch, inputs: Inputs, alone: bool) -> dict[str, Tensor]:
        parts = split(batch, inputs, self.micro_batch)
        if not self.stage.compares:
            return self._each(batch, parts, alone)
        if len(parts) == 1:
            return self._at_once(batch, parts[0][1], alone)
        return self._cached(batch, parts, alone)

    def _each(self, batch: Batch, parts: list[tuple[Batch, Inputs]], alone: bool) -> dict[str, Tensor]:
        """Part after part, each with its own backward pass."""
        counts, shares = self.stage.counts(batch), []
        for number, (part, inputs) in enumerate(parts):
            with self._shared(number == len(parts) - 1 and not alone):
                outputs = self._forward(self.wrapped, part, inputs)
                shares.append(self._backward(self.stage.losses(outputs, part), counts))
        return {task: torch.stack([share[task] for share in shares]).sum() for task in shares[0]}

    def _at_once(self, batch: Batch, inputs: Inputs, alone: bool) -> dict[str, Tensor]:
        """All photos compared in one pass."""
        with self._shared(not alone):
            outputs = self._forward(self.wrapped, batch, inputs)
            shares, gradients = self._compare(batch, outputs, alone)
            _send_back(outputs, gradients)
        return shares

    def _cached(self, batch: Batch, parts: list[tuple[Batch, Inputs]], alone: bool) -> dict[str, Tensor]:
        """All photos compared, embedded in parts: without a graph for the comparison, then again to send it back."""
        with torch.no_grad():
            embedded = [self._forward(self.stage.module, part, inputs) for part, inputs in parts]
        shares, gradients = self._compare(batch, _joined(embedded), alone)
        for number, (part, inputs) in enumerate(parts):
            with self._shared(number == len(parts) - 1 and not alone):
                outputs = self._forward(self.wrapped, part, inputs)
                _send_back(outputs, _of_part(gradients, slice_of(part, batch), first=number == 0))
        return shares

    def _compare(self, batch: Batch, outputs: Outputs, alone: bool) -> tuple[dict[str, Tensor], Outputs]:
        """Shares of the loss, and its gradients at the own outputs, of which every process has a part."""
        leaves = {name: _everyones(value.detach(), alone).requires_grad_() for name, value in outputs.items()}
        shares = self._backward(self.stage.losses(leaves, batch), self.stage.counts(batch))
        rows = torch.from_numpy(batch.rows).to(self.accelerator.device)
        gradients = {
            name: leaf.grad if leaf.dim() == 0 else (leaf.grad if alone else total(leaf.grad))[rows]
            for name, leaf in leaves.items()
        }
        return shares, gradients

    def _forward(self, module: nn.Module, part: Batch, inputs: Inputs) -> Outputs:
        """Outputs of a part. What is drawn at random in the module depends on the place in the data alone."""
        draw = np.random.SeedSequence([self.seed, part.step, int(part.rows[0])]).generate_state(1)
        torch.manual_seed(int(draw[0]))
        device = self.accelerator.device
        return self.stage.forward(module, tuple(value.to(device, non_blocking=True) for value in inputs))

    def _backward(self, sums: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        means = {task: value / counts[task].clamp(min=1) for task, value in sums.items()}
        loss = sum(self.stage.weights[task] * mean for task, mean in means.items())
        # Distributed data parallel averages gradients over processes; ours are parts of one sum.
        self.backward(loss * world()[1])
        return {task: mean.detach() for task, mean in means.items()}

    def _shared(self, sharing: bool) -> AbstractContextManager[None]:
        """Whether the gradients of a backward pass are summed over the processes at its end."""
        return nullcontext() if sharing else self.accelerator.no_sync(self.wrapped)


def split(batch: Batch, inputs: Inputs, size: int | None) -> list[tuple[Batch, Inputs]]:
    """A batch and its inputs in parts of at most `size` own photos."""
    own = len(batch.items)
    slices = [slice(start, start + (size or own)) for start in range(0, own, size or own)]
    return [(batch.part(chosen), tuple(value[chosen] for value in inputs)) for chosen in slices]


def slice_of(part: Batch, batch: Batch) -> slice:
    """Where a part's photos are among the own photos of its batch."""
    start = int(part.rows[0] - batch.rows[0])
    return slice(start, start + len(part.rows))


def _joined(parts: list[Outputs]) -> Outputs:
    return {
        name: value if value.dim() == 0 else torch.cat([part[name] for part in parts])
        for name, value in parts[0].items()
    }


def _everyones(value: Tensor, alone: bool) -> Tensor:
    """The rows of all processes; in a rehearsal, the own rows in their stead."""
    if value.dim() == 0:
        return value
    return value.repeat(world()[1], *[1] * (value.dim() - 1)) if alone else gather(value)


def _of_part(gradients: Outputs, chosen: slice, first: bool) -> Outputs:
    """A part's rows of the gradients. What has no rows is the same in all parts: its gradient goes with the first."""
    return {
        name: value[chosen] if value.dim() else (value if first else torch.zeros_like(value))
        for name, value in gradients.items()
    }


def _send_back(outputs: Outputs, gradients: Outputs) -> None:
    torch.autograd.backward(list(outputs.values()), [gradients[name] for name in outputs])
