"""Checkpoints that survive crashes: written atomically, with checksums, the last ones kept, the newest intact one read.

A checkpoint is a folder `step-00001234` of tensors (safetensors) and `state.json`, with the sha256 of each. No pickle.
"""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from homing.errors import HomingError, TransientError
from homing.files import atomic_path, is_disk_full, read_json, sha256, write_json

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one stage in `folder`: the last `kept`, and the best ones (`best_step` in their states)."""

    def __init__(self, folder: str | Path, kept: int = 2) -> None:
        self.folder, self.kept = Path(folder), kept

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint, then remove outdated ones. Raises TransientError if the disk is full."""
        for partial in self.folder.glob(".step-*"):  # left by a process that was killed
            shutil.rmtree(partial)
        try:
            self._write(self._path(step), tensors, state)
        except Exception as error:
            if not is_disk_full(error):
                raise
            steps = self.steps()
            kept = f"the one of step {steps[-1]} is intact" if steps else "there is no earlier one"
            raise TransientError(
                f"{self.folder}: no space left for the checkpoint of step {step}; {kept}. Free some space and run "
                "again: the training resumes from there"
            ) from error
        self._drop_old()

    def _write(self, path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        with atomic_path(path) as partial:
            partial.mkdir()
            on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            save_file(on_cpu, partial / "tensors.safetensors")
            write_json(partial / "state.json", dict(state), non_finite_as_null=True)
            sums = {file.name: sha256(file) for file in sorted(partial.iterdir())}
            write_json(partial / "sums.json", sums)

    def _drop_old(self) -> None:
        newest = self.steps()[-self.kept :]
        bests = {read_json(self._path(step) / "state.json").get("best_step") for step in newest}
        for step in self.steps():
            if step not in newest and step not in bests:
                shutil.rmtree(self._path(step))

    def load(self, step: int, check: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and state of a checkpoint. Raises HomingError if a file is missing or fails its checksum.

        check: verify the checksums; with several processes, one does it for all.
        """
        folder = self._path(step)
        if check:
            self._check(step)
        return load_file(folder / "tensors.safetensors"), read_json(folder / "state.json")

    def newest(self) -> int | None:
        """Return the step of the newest intact checkpoint, None if there is none. Corrupt ones are moved aside."""
        for step in reversed(self.steps()):
            try:
                self._check(step)
                return step
            except HomingError as error:
                log.warning("%s; falling back to the checkpoint before it", error)
            aside = self.folder / f"broken-{self._path(step).name}"
            shutil.rmtree(aside, ignore_errors=True)
            self._path(step).rename(aside)
        return None

    def _check(self, step: int) -> None:
        folder = self._path(step)
        for name, expected in read_json(folder / "sums.json").items():
            if not (folder / name).is_file() or sha256(folder / name) != expected:
                raise HomingError(f"{folder / name}: checksum mismatch, the checkpoint is corrupt")

    def remove(self) -> None:
        """Remove all checkpoints of the stage, once its outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def steps(self) -> list[int]:
        """Return the steps of all checkpoints, in order."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*"))

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"
