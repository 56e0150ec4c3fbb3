"""Conversion of retrieved checkpoints into folders of safetensors."""

import os
import pickle
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from homing.errors import HomingError
from homing.files import atomic_path

SAFE, OLD = "model.safetensors", "pytorch_model.bin"


def convert_checkpoint(raw: str | Path, output: str | Path) -> None:
    """Write a folder in transformers' layout with the weights of `raw` as safetensors, and its other files.

    Files that need no conversion are linked. Raises HomingError if weights are missing or hold more than tensors.
    """
    raw = Path(raw)
    if not (raw / SAFE).is_file() and not (raw / OLD).is_file():
        raise HomingError(
            f"{raw}: neither {SAFE} nor {OLD}; fetch them with `snakemake --profile profiles/local retrieve`, or put "
            f"them into the mirror folder: <mirror>/{'/'.join(raw.parts[-2:])}/"
        )
    with atomic_path(output) as folder:
        folder.mkdir()
        for path in sorted(raw.glob("*.*")):
            if path.is_file() and path.name != OLD:
                _link(path, folder / path.name)
        if not (folder / SAFE).is_file():
            _convert(raw / OLD, folder / SAFE)


def _link(path: Path, new: Path) -> None:
    try:
        os.link(path.resolve(), new)
    except OSError:  # another file system
        shutil.copy2(path, new)


def _convert(path: Path, new: Path) -> None:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first = str(error).splitlines()[0]
        raise HomingError(f"{path}: a file of weights must hold only tensors ({first})") from error
    tensors = {name: value for name, value in weights.items() if torch.is_tensor(value)}
    # Tensors may share their memory in the old format; safetensors wants each by itself.
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, new, metadata={"format": "pt"})
