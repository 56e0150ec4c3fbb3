"""The precision in which encoders multiply matrices, by the `mixed_precision` keys of the configuration."""

import torch

from homing.errors import HomingError

KINDS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context, or a decorator, in which matrices are multiplied in "bf16" or "fp16"; "no" leaves them in fp32.

    Raises HomingError for a GPU without units for it.
    """
    if not has_units(device, precision):
        name = torch.cuda.get_device_name(device)
        raise HomingError(f'mixed_precision: {name} has no bf16; set it to fp16, which it has, or to "no"')
    return torch.autocast(device.type, KINDS[precision], enabled=precision != "no")


def has_units(device: torch.device, precision: str) -> bool:
    """Whether a device multiplies in a precision itself: older GPUs imitate bf16, slower than fp32."""
    return precision != "bf16" or device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
