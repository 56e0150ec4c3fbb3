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


def gather(rows: Tensor) -> Tensor:
    """Rows (n, ...) of all processes in order, (N, ...), without gradient."""
    if world()[1] == 1:
        return rows
    kind = rows.dtype
    rows = rows.detach().to(torch.uint8) if kind == torch.bool else rows.detach()
    parts = [torch.empty_like(rows) for _ in range(world()[1])]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts).to(kind)
