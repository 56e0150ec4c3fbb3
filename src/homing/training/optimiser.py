"""AdamW, its learning rate by step, and its state as named tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def make_optimizer(module: nn.Module, settings: Mapping[str, Any]) -> torch.optim.AdamW:
    """AdamW of the stage's settings; weight decay on matrices, not on biases, norms and scales."""
    parameters = [value for value in module.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in parameters if value.dim() >= 2], "weight_decay": settings["weight_decay"]},
        {"params": [value for value in parameters if value.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups,
        lr=settings["learning_rate"],
        betas=tuple(settings["betas"]),
        eps=settings["epsilon"],
        fused=True,  # four times as fast on a CPU too
    )


def learning_rate(settings: Mapping[str, Any], step: int, steps: int) -> float:
    """Linear warm-up, then constant or a linear decay to zero."""
    warmup = settings["warmup_share"] * steps
    if step < warmup:
        return settings["learning_rate"] * (step + 1) / (warmup + 1)
    if settings.get("schedule", "linear") == "constant":
        return settings["learning_rate"]
    return settings["learning_rate"] * (steps - step) / max(1.0, steps - warmup)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, name = rest.split(".")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
