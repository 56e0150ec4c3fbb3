"""AdamW with gradient clipping and, in fp16, loss scaling; the learning rate schedule; its state as named tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

SCALER = "scaler."  # prefix of the names of the scaler's state


class Optimizer:
    """AdamW with a stage's settings; weight decay on matrices, not on biases, norms and scales.

    In fp16, whose smallest number is 6e-8, losses are scaled up before the backward pass (Micikevicius et al., "Mixed
    Precision Training", 2018). A step whose gradients overflow fp16 is skipped, and the scale halved.
    """

    def __init__(self, module: nn.Module, settings: Mapping[str, Any], device: torch.device) -> None:
        parameters = [value for value in module.parameters() if value.requires_grad]
        groups = [
            {"params": [value for value in parameters if value.dim() >= 2], "weight_decay": settings["weight_decay"]},
            {"params": [value for value in parameters if value.dim() < 2], "weight_decay": 0.0},
        ]
        self.parameters, self.largest_norm = parameters, settings["gradient_clip"]
        self.adamw = torch.optim.AdamW(
            groups,
            lr=settings["learning_rate"],
            betas=tuple(settings["betas"]),
            eps=settings["epsilon"],
            fused=True,  # four times as fast on a CPU too
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings["mixed_precision"] == "fp16")

    def backward(self, loss: Tensor) -> None:
        """Backpropagate a loss, scaled up in fp16."""
        self.scaler.scale(loss).backward()

    def clip(self) -> Tensor:
        """Unscale and clip the gradients. Return their norm before clipping, not finite if they overflowed fp16."""
        self.scaler.unscale_(self.adamw)
        return nn.utils.clip_grad_norm_(self.parameters, self.largest_norm)

    def may_skip(self, norm: float) -> bool:
        """Return True if the norm is finite, or if skipping the step and halving the loss scale can fix it (fp16)."""
        return norm < float("inf") or (self.scaler.is_enabled() and self.scaler.get_scale() >= 1)

    def step(self, rate: float) -> None:
        """Update the weights at a learning rate, unless the gradients overflowed, and drop the gradients."""
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.scaler.step(self.adamw)
        self.scaler.update()
        self.adamw.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors."""
        state = self.adamw.state_dict()["state"]
        named = {f"optimizer.{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}
        return named | {f"{SCALER}{name}": torch.tensor(value) for name, value in self.scaler.state_dict().items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state from `tensors`, which may hold others too."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, rest = key.partition(".")
            if kind == "optimizer":
                index, name = rest.split(".")
                state.setdefault(int(index), {})[name] = value
        self.adamw.load_state_dict({"state": state, "param_groups": self.adamw.state_dict()["param_groups"]})
        scaling = {name.removeprefix(SCALER): tensors[name].item() for name in tensors if name.startswith(SCALER)}
        if scaling:
            self.scaler.load_state_dict(scaling)


def learning_rate(settings: Mapping[str, Any], step: int, steps: int) -> float:
    """Return the learning rate of a step: linear warm-up, then constant or linear decay to zero."""
    warmup = settings["warmup_share"] * steps
    if step < warmup:
        return settings["learning_rate"] * (step + 1) / (warmup + 1)
    if settings.get("schedule", "linear") == "constant":
        return settings["learning_rate"]
    return settings["learning_rate"] * (steps - step) / max(1.0, steps - warmup)
