"""What is done on the test cluster: run inside it by test_slurm.py, writes what it saw to a JSON file.

python scenario.py CHECKOUT OUTPUT
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

RUN = "results/runs/demo"
PROFILE = ["--profile", "profiles/slurm", "--configfile", "tests/workflow/tiny.yaml", "tests/slurm/two_nodes.yaml"]
# The test cluster answers at once: ask it sooner than a real one.
SOONER = ["--slurm-init-seconds-before-status-checks", "8", "--latency-wait", "5"]


def main(checkout: Path, output: Path) -> None:
    os.chdir(checkout)
    download_on_the_login_node()
    seen = {"first": snakemake()}
    seen["jobs"] = finished_jobs()
    shutil.copytree(RUN, "first_run")
    seen["killed"], seen["second"] = kill_a_training_process_half_way()
    output.write_text(json.dumps(seen))


def download_on_the_login_node() -> None:
    """As where the nodes have no internet."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "retrieve", "--configfile", PROFILE[3]]
    subprocess.run(command, check=True, capture_output=True)


def snakemake(*arguments: str) -> int:
    with Path("slurm_run.log").open("a") as log:
        command = [sys.executable, "-m", "snakemake", *PROFILE, *SOONER, *arguments]
        return subprocess.call(command, stdout=log, stderr=subprocess.STDOUT)


def finished_jobs() -> list[dict[str, str]]:
    """The jobs that slurmctld remembers: rule, partition, nodes, and what was allocated."""
    text = subprocess.run(["scontrol", "--oneliner", "show", "jobs"], capture_output=True, text=True, check=True).stdout
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if "JobId=" in line]
    names = ("JobId", "Comment", "Partition", "NumNodes", "NumTasks", "TresPerNode", "TresPerJob", "JobState")
    return [{name: job.get(name, "") for name in names} for job in jobs]


def kill_a_training_process_half_way() -> tuple[int, int]:
    """Pretrain again, kill -9 a training process once there is a checkpoint, and let the retry finish."""
    checkpoints = Path("results/checkpoints")
    shutil.rmtree(checkpoints, ignore_errors=True)
    killed: list[int] = []

    def wait_and_kill() -> None:
        while not list(checkpoints.rglob("step-*")):
            time.sleep(0.05)
        for process in training_processes():
            os.kill(process, signal.SIGKILL)
            killed.append(process)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    status = snakemake("--forcerun", "pretrain_clip", "--until", "pretrain_clip")
    return len(killed), status


def training_processes() -> list[int]:
    """Processes that run the pretraining module itself, not its launcher."""
    found = subprocess.run(["pgrep", "-f", "python.* homing.training.pretrain"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
