"""Start a training module through Accelerate: one process, several on a machine, or several machines under SLURM."""

import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homing.errors import HomingError, TransientError
from homing.files import write_json
from homing.training.launch.processes import TERMINAL, die_with_parent, told_error

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """The machines, and the processes, GPUs and cores of each."""

    nodes: int
    processes: int
    gpus: int
    cores: int

    @property
    def cores_per_process(self) -> int:
        return max(1, self.cores // self.processes)


def allocated(resources: Mapping[str, Any], threads: int, processes_per_node: int | None) -> Sizes:
    """The sizes of a rule's resources, which a profile may have set: `nodes`, and the GPUs of `gpu` or `gres`.

    On each node there is one process per GPU, or one where there is none, unless the configuration says otherwise.
    """
    gres = str(resources.get("gres") or "").split(":")
    gpus = int(resources.get("gpu") or (gres[-1] if gres[0] == "gpu" else 0))
    return Sizes(int(resources.get("nodes") or 1), processes_per_node or max(1, gpus), gpus, threads)


def launch(module: str, spec: Mapping[str, Any], sizes: Sizes) -> None:
    """Write a spec and run `python -m module` on it. Raises the error of the first process to fail.

    One that was killed or met a defect has left none: what is raised then is transient.
    """
    write_json(spec["path"], spec)
    command = launch_command(module, spec["path"], sizes, job_id=os.environ.get("SLURM_JOB_ID"))
    environment = os.environ | {"OMP_NUM_THREADS": str(spec["torch_threads"]), "ACCELERATE_USE_CPU": cpu_flag(sizes)}
    if sys.stderr.isatty():
        environment[TERMINAL] = os.ttyname(sys.stderr.fileno())
    log.info("%s", shlex.join(command))
    status = run_logged(command, environment)
    if status:
        raise told_error(spec) or TransientError(
            f"{module}: ended with status {status}; its messages are above, and the retry resumes"
        )


def run_logged(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command, its output line by line in our log; returns its status.

    It dies with this process. A SIGTERM is handed on, and its processes are waited for: they save and stop.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env=environment, preexec_fn=die_with_parent, **pipes) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        for line in process.stdout:
            log.info("%s", line.rstrip())
        signal.signal(signal.SIGTERM, before)
    return process.returncode


def cpu_flag(sizes: Sizes) -> str:
    """Accelerate's switch for training without GPUs."""
    return "false" if sizes.gpus and Path("/dev/nvidiactl").exists() else "true"


def launch_command(module: str, spec_path: str, sizes: Sizes, job_id: str | None) -> list[str]:
    """The command line of the launch.

    Several processes need `--multi_gpu` even on CPUs: `--cpu --num_processes 2` starts one process (accelerate 1.15).
    Over several nodes the batch script has no SLURM variables but the job's id, so that rank and address are found in
    the tasks that srun starts, one per node; `static` rendezvous keeps rank 0 on the first node.
    """
    nodes, processes = sizes.nodes, sizes.processes
    python = [sys.executable, "-m", "accelerate.commands.launch", "--mixed_precision", "no", "--dynamo_backend", "no"]
    program = ["-m", module, spec_path]
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
    gpus = [f"--gpus-per-node={sizes.gpus}"] if sizes.gpus else []
    steps = ["srun", "--kill-on-bad-exit=1", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    steps += [f"--cpus-per-task={sizes.cores}", *gpus]
    # $SLURM_NODEID must expand in the task, not here.
    return [*steps, "bash", "-c", f'exec {inner} --machine_rank "$SLURM_NODEID" {shlex.join(program)}']
