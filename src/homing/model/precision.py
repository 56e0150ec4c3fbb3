"""The precision in which encoders multiply matrices, by the `mixed_precision` keys of the configuration."""

import torch

from homing.errors import HomingError

KINDS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return a context or decorator that multiplies matrices in "bf16" or "fp16"; "no" leaves them in fp32.

    Raises HomingError if the GPU does not support bf16.
    """
    if not has_units(device, precision):
        name = torch.cuda.get_device_name(device)
        raise HomingError(f'mixed_precision: {name} has no bf16; set it to fp16, which it has, or to "no"')
    return torch.autocast(device.type, KINDS[precision], enabled=precision != "no")


def has_units(device: torch.device, precision: str) -> bool:
    """Return True if a device supports a precision in hardware: older GPUs emulate bf16, slower than fp32."""
    return precision != "bf16" or device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
