"""What is done on the test cluster: run inside it by test_slurm.py, writes what it saw to a JSON file.

python scenario.py CHECKOUT OUTPUT TRAININGS

TRAININGS holds the specs of two trainings, limited/ and requeued/; copies of the finished checkout come beside.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faults
from hopeless import meet_errors

RUN = "results/runs/demo"
CHECKPOINTS = Path("results/checkpoints")
PROFILE = ["--profile", "profiles/slurm", "--configfile", "tests/workflow/tiny.yaml", "tests/slurm/two_nodes.yaml"]
# The test cluster answers at once: ask it sooner than a real one.
SOONER = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]


def main(checkout: Path, output: Path, trainings: Path) -> None:
    os.chdir(checkout)
    import_on_the_login_node()
    with ThreadPoolExecutor(5) as beside:
        limited = beside.submit(faults.meet_a_time_limit, trainings / "limited")
        requeued = beside.submit(faults.meet_a_requeue_and_a_killed_launcher, trainings / "requeued")
        seen = {"first": snakemake(checkout, "--until", "build_refine_index", "predict_photos", "guess_baselines")}
        seen["jobs"] = finished_jobs()
        shutil.copytree(RUN, "first_run")
        errors = meet_errors(checkout, trainings, snakemake, beside)
        seen |= {"limited": limited.result(), "requeued": requeued.result()}
        seen["faults"], seen["second"] = pretrain_through_faults()
        seen["errors"] = {name: coming.result() for name, coming in errors.items()}
    output.write_text(json.dumps(seen))


def import_on_the_login_node() -> None:
    """Downloads, as where the nodes have no internet, and the photos in them."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--configfile", PROFILE[3], "--"]
    subprocess.run([*command, "retrieve", "results/photos/toy/photos.parquet"], check=True, capture_output=True)


def snakemake(folder: Path, *arguments: str) -> int:
    """Run Snakemake in a checkout; the arguments may begin with more files of configuration."""
    with (folder / "slurm_run.log").open("a") as log:
        command = [sys.executable, "-m", "snakemake", *SOONER, *PROFILE, *arguments]
        return subprocess.call(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)


def finished_jobs() -> list[dict[str, str]]:
    """Snakemake's jobs that slurmctld remembers: rule, partition, nodes, and what was allocated."""
    text = subprocess.run(["scontrol", "--oneliner", "show", "jobs"], capture_output=True, text=True, check=True).stdout
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if "Comment=rule_" in line]
    names = ("JobId", "Comment", "Partition", "NumNodes", "NumTasks", "TresPerNode", "TresPerJob", "JobState")
    return [{name: job.get(name, "") for name in names} for job in jobs]


def pretrain_through_faults() -> tuple[list[str], int]:
    """Pretrain again while one fault after the other ends the job, and let the retries finish it."""
    shutil.rmtree(CHECKPOINTS, ignore_errors=True)
    met: list[str] = []
    threading.Thread(target=faults.meet_faults, args=(CHECKPOINTS, met), daemon=True).start()
    status = snakemake(Path.cwd(), "--forcerun", "pretrain_clip", "--until", "pretrain_clip")
    return met, status


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
