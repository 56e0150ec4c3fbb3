"""What processes of one job say to each other. With one process every function returns what it was given."""

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """This process's number and the number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def total(values: Tensor) -> Tensor:
    """Sum over processes, without gradient."""
    if world()[1] == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values


class _Gather(torch.autograd.Function):
    """All processes' rows, in order; the gradient of each row returns to the process it came from, summed over all."""

    @staticmethod
    def forward(context, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world()[1])]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(world()[1])[world()[0]]


def gather(rows: Tensor) -> Tensor:
    """Rows (n, ...) of all processes, (N, ...), with gradients for floating-point rows."""
    if world()[1] == 1:
        return rows
    if rows.is_floating_point() and rows.requires_grad:
        return _Gather.apply(rows)
    kind = rows.dtype
    rows = rows.to(torch.uint8) if kind == torch.bool else rows
    parts = [torch.empty_like(rows) for _ in range(world()[1])]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts).to(kind)
