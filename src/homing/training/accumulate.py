"""Gradient accumulation: the gradients of a global batch from micro-batches that fit into memory.

They equal those of the whole batch. If the loss is a sum over photos, each micro-batch has its own backward pass. A
contrastive loss compares all photos of the global batch with each other and takes three passes (gradient caching; Gao
et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021): embed all micro-batches
without a graph; compute the loss of all embeddings and its gradient with respect to each; embed each micro-batch again
and backpropagate the gradients of its embeddings into the weights.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import reduce

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from homing.errors import HomingError
from homing.model.encoders import reset_compiler
from homing.training.data.sampler import Batch
from homing.training.distributed import gather, reduce_sum, world_size
from homing.training.protocol import Differentiable, Inputs, Outputs

log = logging.getLogger(__name__)


class GradientAccumulator:
    """Accumulates the gradients of a stage's global batches, `micro_batch` photos per process at a time.

    micro_batch: None for the whole batch. backward: adds the gradients of a loss, or a multiple of them, to the
    weights. seed: of random draws inside the module, such as dropout.
    """

    def __init__(
        self,
        stage: Differentiable,
        wrapped: nn.Module,
        accelerator: Accelerator,
        backward: Callable[[Tensor], None],
        seed: int,
        micro_batch: int | None,
    ) -> None:
        self.stage, self.wrapped, self.accelerator, self.backward = stage, wrapped, accelerator, backward
        self.seed, self.micro_batch = seed, micro_batch

    def add(self, batch: Batch, inputs: Inputs) -> dict[str, Tensor]:
        """Add a batch's gradients. Return this process's share of the loss by task; the shares add up to the mean."""
        return self._run(batch, inputs, local_only=False)

    def fit_micro_batch(self, batch: Batch, inputs: Inputs) -> None:
        """Halve the micro-batch until a step fits into the memory of every process.

        Each process tries the step without communication, and its gradients are dropped: a process that ran out of
        memory in the middle of a real step would leave the others waiting for it. Raises HomingError if one photo does
        not fit.
        """
        while not self._fits(batch, inputs):
            size = min(self.micro_batch or len(batch.items), len(batch.items))
            if size == 1:
                raise HomingError(
                    "not even one photo fits into the memory of the GPU; use a smaller model or a larger GPU"
                )
            self.micro_batch = -(-size // 2)
            reset_compiler()
            log.info("a micro-batch of %d photos does not fit into memory; trying %d", size, self.micro_batch)

    def _fits(self, batch: Batch, inputs: Inputs) -> bool:
        exceeded = False
        try:
            self._run(batch, inputs, local_only=True)
        except torch.OutOfMemoryError:
            exceeded = True
        self.stage.module.zero_grad(set_to_none=True)
        if exceeded:
            torch.cuda.empty_cache()
        return not reduce_sum(torch.tensor(float(exceeded), device=self.accelerator.device))

    def _run(self, batch: Batch, inputs: Inputs, local_only: bool) -> dict[str, Tensor]:
        parts = split(batch, inputs, self.micro_batch)
        if not self.stage.compares:
            return self._accumulate(batch, parts, local_only)
        if len(parts) == 1:
            return self._compare_whole(batch, parts[0][1], local_only)
        return self._compare_parts(batch, parts, local_only)

    def _accumulate(self, batch: Batch, parts: list[tuple[Batch, Inputs]], local_only: bool) -> dict[str, Tensor]:
        """Backpropagate micro-batch by micro-batch."""
        counts, shares = self.stage.counts(batch), []
        for number, (part, inputs) in enumerate(parts):
            with self._synchronised(number == len(parts) - 1 and not local_only):
                outputs = self._forward(self.wrapped, part, inputs)
                shares.append(self._backward(self.stage.losses(outputs, part), counts))
        return {task: torch.stack([share[task] for share in shares]).sum() for task in shares[0]}

    def _compare_whole(self, batch: Batch, inputs: Inputs, local_only: bool) -> dict[str, Tensor]:
        """Compare all photos in one pass."""
        with self._synchronised(not local_only):
            outputs = self._forward(self.wrapped, batch, inputs)
            shares, gradients = self._compare(batch, outputs, local_only)
            _backpropagate(outputs, gradients)
        return shares

    def _compare_parts(self, batch: Batch, parts: list[tuple[Batch, Inputs]], local_only: bool) -> dict[str, Tensor]:
        """Compare all photos, embedded in parts: first without a graph for the loss, then again for the gradients."""
        with torch.no_grad():
            embedded = [self._forward(self.stage.module, part, inputs) for part, inputs in parts]
        shares, gradients = self._compare(batch, _concatenate(embedded), local_only)
        for number, (part, inputs) in enumerate(parts):
            with self._synchronised(number == len(parts) - 1 and not local_only):
                outputs = self._forward(self.wrapped, part, inputs)
                _backpropagate(outputs, _rows_of(gradients, slice_of(part, batch), first=number == 0))
        return shares

    def _compare(self, batch: Batch, outputs: Outputs, local_only: bool) -> tuple[dict[str, Tensor], Outputs]:
        """Return the shares of the loss and its gradients with respect to the own outputs.

        Each process holds the gradients of its own photos' losses with respect to all outputs; they are summed.
        """
        leaves = {name: _gather_outputs(value.detach(), local_only).requires_grad_() for name, value in outputs.items()}
        shares = self._backward(self.stage.losses(leaves, batch), self.stage.counts(batch))
        rows = torch.from_numpy(batch.rows).to(self.accelerator.device)
        gradients = {}
        for name, leaf in leaves.items():
            assert leaf.grad is not None  # every output is part of the loss
            summed = leaf.grad if local_only or leaf.dim() == 0 else reduce_sum(leaf.grad)
            gradients[name] = summed if leaf.dim() == 0 else summed[rows]
        return shares, gradients

    def _forward(self, module: nn.Module, part: Batch, inputs: Inputs) -> Outputs:
        """Return the outputs of a micro-batch. Random draws in the module depend only on its position in the data."""
        generated = np.random.SeedSequence([self.seed, part.step, int(part.rows[0])]).generate_state(1)
        torch.manual_seed(int(generated[0]))
        device = self.accelerator.device
        return self.stage.forward(module, tuple(value.to(device, non_blocking=True) for value in inputs))

    def _backward(self, sums: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        means = {task: value / counts[task].clamp(min=1) for task, value in sums.items()}
        loss = reduce(torch.add, (self.stage.weights[task] * mean for task, mean in means.items()))
        # Distributed data parallel averages gradients over processes; ours are parts of one sum.
        self.backward(loss * world_size())
        return {task: mean.detach() for task, mean in means.items()}

    def _synchronised(self, synchronise: bool) -> AbstractContextManager[None]:
        """Return a context in which a backward pass does or does not synchronise gradients over processes."""
        return nullcontext() if synchronise else self.accelerator.no_sync(self.wrapped)


def split(batch: Batch, inputs: Inputs, size: int | None) -> list[tuple[Batch, Inputs]]:
    """Split a batch and its inputs into micro-batches of at most `size` own photos."""
    own = len(batch.items)
    slices = [slice(start, start + (size or own)) for start in range(0, own, size or own)]
    return [(batch.part(chosen), tuple(value[chosen] for value in inputs)) for chosen in slices]


def slice_of(part: Batch, batch: Batch) -> slice:
    """Return the slice of a part among the own photos of its batch."""
    start = int(part.rows[0] - batch.rows[0])
    return slice(start, start + len(part.rows))


def _concatenate(parts: list[Outputs]) -> Outputs:
    return {
        name: value if value.dim() == 0 else torch.cat([part[name] for part in parts])
        for name, value in parts[0].items()
    }


def _gather_outputs(value: Tensor, local_only: bool) -> Tensor:
    """Return the rows of all processes; without communication, repeat the own rows instead."""
    if value.dim() == 0:
        return value
    return value.repeat(world_size(), *[1] * (value.dim() - 1)) if local_only else gather(value)


def _rows_of(gradients: Outputs, rows: slice, first: bool) -> Outputs:
    """Return a part's rows of the gradients. A scalar is shared by all parts: its gradient goes with the first."""
    return {
        name: value[rows] if value.dim() else (value if first else torch.zeros_like(value))
        for name, value in gradients.items()
    }


def _backpropagate(outputs: Outputs, gradients: Outputs) -> None:
    torch.autograd.backward(list(outputs.values()), [gradients[name] for name in outputs])
