"""Collective operations between the processes of a job. With one process each returns its argument."""

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """Return the number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def reduce_sum(values: Tensor) -> Tensor:
    """Return the sum over processes, without gradient."""
    if world_size() == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values


def gather(rows: Tensor) -> Tensor:
    """Return the rows (n, ...) of all processes in order, (N, ...), without gradient."""
    if world_size() == 1:
        return rows
    dtype = rows.dtype
    rows = rows.detach().to(torch.uint8) if dtype == torch.bool else rows.detach()
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts).to(dtype)
