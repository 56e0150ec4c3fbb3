"""What no retry can mend, and a disk that is full: rule finetune_geolocator in finished checkouts, through Snakemake.

By one process on the CPU node, which no other fault meets, and with one retry. The figures are read off the jobs that
slurmctld remembers and off the error that each failed launch leaves beside the checkpoints.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
Snakemake = Callable[..., int]  # runs in a folder with more arguments, returns the status


def meet_errors(
    finished: Path, folder: Path, snakemake: Snakemake, pool: ThreadPoolExecutor
) -> dict[str, Future[dict[str, Any]]]:
    """Each error in a copy of the finished checkout, side by side; what will have come of it, by name."""
    coming = {}
    for meet in (lose_a_shard, lose_the_numbers, fill_the_disk):
        checkout = shutil.copytree(finished, folder / meet.__name__)
        coming[meet.__name__] = pool.submit(meet, checkout, snakemake)
    return coming


def lose_a_shard(checkout: Path, snakemake: Snakemake) -> dict[str, Any]:
    """The last one, so that Snakemake does not see it: by the date of the folder."""
    shards = checkout / "results/photos/toy/shards"
    seconds = shards.stat().st_mtime_ns
    sorted(shards.glob("*.tar"))[-1].unlink()
    os.utime(shards, ns=(seconds, seconds))
    return finetune(checkout, snakemake, SAVES_EACH_STEP)


def lose_the_numbers(checkout: Path, snakemake: Snakemake) -> dict[str, Any]:
    """A learning rate with which the second step's loss is no number."""
    return finetune(checkout, snakemake, DIVERGES)


def fill_the_disk(checkout: Path, snakemake: Snakemake) -> dict[str, Any]:
    """There is room for one checkpoint (weights and two moments of each) and half of another, until that has failed."""
    weights = (checkout / "results/runs/demo/finetuned").rglob("*.safetensors")
    room_bytes = int(1.5 * 3 * sum(path.stat().st_size for path in weights))
    checkpoints = checkout / "results/checkpoints"
    mount("tmpfs", checkpoints, kind="tmpfs", options=f"size={room_bytes}")
    told: list[str] = []

    def make_room() -> None:
        told.extend(wait_for(lambda: errors(checkpoints), "an error of the full disk"))
        mount("tmpfs", checkpoints, flags=MS_REMOUNT, options="size=1g")

    watching = Thread(target=make_room)
    watching.start()
    found = finetune(checkout, snakemake, SAVES_EACH_STEP)
    watching.join()
    return found | {"errors": told}


def finetune(checkout: Path, snakemake: Snakemake, settings: str) -> dict[str, Any]:
    """Run the rule: Snakemake's status, the seconds of its jobs, errors and checkpoints that are left, the log."""
    (checkout / "settings.yaml").write_text(settings)
    status = snakemake(checkout, "tests/slurm/one_process.yaml", "settings.yaml", *ARGUMENTS, *ONE_RETRY)
    return {
        "status": status,
        "job_seconds": job_seconds(checkout),
        "errors": errors(checkout / "results/checkpoints"),
        "step": newest_step(checkout / "results/checkpoints"),
        "log": (checkout / f"results/logs/demo/{RULE}.log").read_text(),
    }


def job_seconds(checkout: Path) -> list[int]:
    """Of the jobs that were submitted from a checkout."""
    lines = output_of("scontrol", "--oneliner", "show", "jobs").splitlines()
    times = [re.search(r"RunTime=(\d+):(\d+):(\d+)", line) for line in lines if f"WorkDir={checkout} " in line]
    return [int(time[1]) * 3600 + int(time[2]) * 60 + int(time[3]) for time in times]


def errors(checkpoints: Path) -> list[str]:
    """What failed launches have told, one file each."""
    return [json.loads(path.read_text())["message"] for path in checkpoints.rglob("error-*.json")]
