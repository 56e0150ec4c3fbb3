"""Start a training module through Accelerate: one process, several on a machine, or several machines under SLURM."""

import logging
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homing.errors import HomingError
from homing.training.loop import AGAIN

log = logging.getLogger(__name__)


def launch(module: str, spec: Path, sizes: Mapping[str, Any], threads: int) -> None:
    """Run `python -m module spec` with the launch sizes of a stage (nodes, processes_per_node, gpus_per_node).

    Raises HomingError when it fails, or when it stopped by its own clock and wants to be run again.
    """
    command = launch_command(module, spec, sizes, threads, job_id=os.environ.get("SLURM_JOB_ID"))
    per_process = max(1, threads // sizes["processes_per_node"])
    environment = os.environ | {"OMP_NUM_THREADS": str(per_process), "ACCELERATE_USE_CPU": cpu_flag(sizes)}
    log.info("%s", shlex.join(command))
    status = run_logged(command, environment)
    if status == AGAIN:
        raise HomingError(f"{module}: stopped before the time limit, checkpoint saved; the retry goes on from it")
    if status:
        raise HomingError(f"{module}: ended with status {status}; its messages are above, and the retry resumes")


def run_logged(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command, its output line by line in our log; returns its status."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        for line in process.stdout:
            log.info("%s", line.rstrip())
    return process.returncode


def cpu_flag(sizes: Mapping[str, Any]) -> str:
    """Accelerate's switch for training without GPUs."""
    return "false" if sizes["gpus_per_node"] and Path("/dev/nvidiactl").exists() else "true"


def launch_command(module: str, spec: Path, sizes: Mapping[str, Any], threads: int, job_id: str | None) -> list[str]:
    """The command line of the launch.

    Several processes need `--multi_gpu` even on CPUs: `--cpu --num_processes 2` starts one process (accelerate 1.15).
    Over several nodes the batch script has no SLURM variables but the job's id, so that rank and address are found in
    the tasks that srun starts, one per node; `static` rendezvous keeps rank 0 on the first node.
    """
    nodes, processes = sizes["nodes"], sizes["processes_per_node"]
    python = [sys.executable, "-m", "accelerate.commands.launch", "--mixed_precision", "no", "--dynamo_backend", "no"]
    program = ["-m", module, str(spec)]
    if nodes == 1:
        several = (
            ["--multi_gpu", "--main_process_port", "0"] if processes > 1 else ["--cpu"] * (cpu_flag(sizes) == "true")
        )
        return [*python, "--num_machines", "1", "--num_processes", str(processes), *several, *program]
    if not job_id:
        raise HomingError(f"{module}: {nodes} nodes need SLURM; run with --profile profiles/slurm, or set nodes to 1")
    rendezvous = ["--main_process_ip", socket.gethostname(), "--main_process_port", str(20000 + int(job_id) % 20000)]
    sizing = ["--multi_gpu", "--num_machines", str(nodes), "--num_processes", str(nodes * processes)]
    inner = shlex.join([*python, *sizing, *rendezvous, "--rdzv_backend", "static"])
    gpus = [f"--gpus-per-node={sizes['gpus_per_node']}"] if sizes["gpus_per_node"] else []
    steps = ["srun", "--kill-on-bad-exit=1", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    steps += [f"--cpus-per-task={threads}", *gpus]
    # $SLURM_NODEID must expand in the task, not here.
    return [*steps, "bash", "-c", f'exec {inner} --machine_rank "$SLURM_NODEID" {shlex.join(program)}']
