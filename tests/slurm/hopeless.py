"""What no retry can mend, and a disk that is full: rule finetune_geolocator in a finished checkout, through Snakemake.

By one process on the CPU node, which no other fault meets, and with one retry. The figures are read off the jobs that
slurmctld remembers and off the error that each failed launch leaves beside the checkpoints.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from cluster import MS_REMOUNT, mount
from faults import newest_step, output_of, wait_for

RULE = "finetune_geolocator"
ARGUMENTS = ["--forcerun", RULE, "--until", RULE, "--set-resources", f"{RULE}:slurm_partition=cpu"]
ONE_RETRY = ["--preemptible-rules", RULE, "--preemptible-retries", "1"]
SAVES_EACH_STEP = "finetune: {checkpoint_minutes: 1.0e-5}"
DIVERGES = "finetune: {checkpoint_minutes: 1.0e-5, learning_rate: 1.0e+30}"


class Checkout:
    """A finished checkout; snakemake(folder, *arguments) runs Snakemake in one and returns its status."""

    def __init__(self, folder: Path, snakemake: Callable[..., int]) -> None:
        self.folder, self.snakemake = folder, snakemake
        self.checkpoints = folder / "results/checkpoints"

    def finetune(self, settings: str) -> dict[str, Any]:
        """Run the rule: Snakemake's status, the seconds of its jobs, errors and step that are left, the rule's log."""
        (self.folder / "settings.yaml").write_text(settings)
        known, told = self.jobs(), self.errors()
        files = ["tests/slurm/one_process.yaml", "settings.yaml"]
        status = self.snakemake(self.folder, *files, *ARGUMENTS, *ONE_RETRY)
        return {
            "status": status,
            "seconds": [seconds for job, seconds in self.jobs().items() if job not in known],
            "errors": self.errors()[len(told) :],
            "step": newest_step(self.checkpoints),
            "log": (self.folder / f"results/logs/demo/{RULE}.log").read_text(),
        }

    def jobs(self) -> dict[str, int]:
        """Seconds of the jobs that were submitted from here, by number."""
        lines = output_of("scontrol", "--oneliner", "show", "jobs").splitlines()
        fields = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if f"WorkDir={self.folder} " in line]
        return {job["JobId"]: _seconds(job["RunTime"]) for job in fields}

    def errors(self) -> list[str]:
        """What failed launches have told, one after the other."""
        files = sorted(self.checkpoints.rglob("error-*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text())["message"] for path in files]


def _seconds(time: str) -> int:
    hours, minutes, seconds = map(int, time.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def meet_errors(checkout: Checkout) -> dict[str, dict[str, Any]]:
    """A loss that is no number, a lost shard, and a disk that has room for one checkpoint until its error is seen."""
    found = {"no_number": checkout.finetune(DIVERGES)}
    checkpoint_bytes = sum(file.stat().st_size for file in next(checkout.checkpoints.rglob("step-*")).iterdir())
    shards = checkout.folder / "results/photos/toy/shards"
    lost, written = sorted(shards.iterdir())[-1], shards.stat()
    lost.rename(checkout.folder / lost.name)
    os.utime(shards, ns=(written.st_atime_ns, written.st_mtime_ns))  # or Snakemake sees other inputs
    found["lost_shard"] = checkout.finetune(SAVES_EACH_STEP)
    (checkout.folder / lost.name).rename(lost)
    os.utime(shards, ns=(written.st_atime_ns, written.st_mtime_ns))
    found["full_disk"] = _meet_a_full_disk(checkout, int(1.6 * checkpoint_bytes))
    return found


def _meet_a_full_disk(checkout: Checkout, room_bytes: int) -> dict[str, Any]:
    mount("tmpfs", checkout.checkpoints, kind="tmpfs", options=f"size={room_bytes}")
    told: list[str] = []

    def make_room() -> None:
        told.extend(wait_for(checkout.errors, "an error of the full disk"))
        mount("tmpfs", checkout.checkpoints, flags=MS_REMOUNT, options="size=1g")

    watching = Thread(target=make_room)
    watching.start()
    finished = checkout.finetune(SAVES_EACH_STEP)
    watching.join()
    return finished | {"errors": told}
