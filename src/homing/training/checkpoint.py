"""Checkpoints that survive anything: written aside and renamed, summed, the last ones kept, the newest good one read.

A checkpoint is a folder `step-00001234` of tensors (safetensors) and `state.json`, with the sha256 of each; `latest`
names the newest and is written last. No pickle.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from homing.errors import HomingError
from homing.files import atomic_path, read_json, sha256, write_json

log = logging.getLogger(__name__)

KEPT = 2


class Checkpoints:
    """The checkpoints of one stage in `folder`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def save(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write a checkpoint, then point `latest` at it, then drop all but the newest `KEPT`."""
        name = f"step-{step:08d}"
        with atomic_path(self.folder / name) as partial:
            partial.mkdir()
            save_file(
                {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
                partial / "tensors.safetensors",
            )
            write_json(partial / "state.json", state)
            sums = {path.name: sha256(path) for path in sorted(partial.iterdir())}
            write_json(partial / "sums.json", sums)
        with atomic_path(self.folder / "latest") as partial:
            partial.write_text(name)
        for old in self._names()[:-KEPT]:
            shutil.rmtree(self.folder / old)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state of the newest checkpoint that is whole; None when there is none."""
        for name in reversed(self._names()):
            folder = self.folder / name
            try:
                for file, expected in read_json(folder / "sums.json").items():
                    if sha256(folder / file) != expected:
                        raise HomingError(f"{folder / file}: its checksum differs")
                return load_file(folder / "tensors.safetensors"), read_json(folder / "state.json")
            except (HomingError, OSError) as error:
                log.warning("checkpoint %s is broken (%s); falling back to the one before", folder, error)
        return None

    def remove(self) -> None:
        """Remove all checkpoints of the stage: its outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("step-*")) if self.folder.is_dir() else []
