"""Launch a training module with Accelerate: one process, several on a node, or several nodes under SLURM."""

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
from homing.training.launch.processes import TERMINAL, die_with_parent, read_error

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """The number of nodes, and of processes, GPUs and cores per node."""

    nodes: int
    processes: int
    gpus: int
    cores: int

    @property
    def cores_per_process(self) -> int:
        """The cores of each process, at least one."""
        return max(1, self.cores // self.processes)


def allocated(resources: Mapping[str, Any], threads: int, processes_per_node: int | None) -> Sizes:
    """Return the sizes given by a rule's resources: `nodes`, and the GPUs of `gpu` or `gres`.

    Without `processes_per_node` each node runs one process per GPU, or one if it has no GPU.
    """
    gres = str(resources.get("gres") or "").split(":")
    gpus = int(resources.get("gpu") or (gres[-1] if gres[0] == "gpu" else 0))
    return Sizes(int(resources.get("nodes") or 1), processes_per_node or max(1, gpus), gpus, threads)


def launch(module: str, spec: Mapping[str, Any], sizes: Sizes) -> None:
    """Write a spec and run `python -m module` on it. Raises the error reported by the first process to fail.

    If none was reported (a process was killed or crashed), raises TransientError.
    """
    write_json(spec["path"], spec)
    command = launch_command(module, spec["path"], sizes, job_id=os.environ.get("SLURM_JOB_ID"))
    environment = os.environ | {"OMP_NUM_THREADS": str(spec["torch_threads"]), "ACCELERATE_USE_CPU": cpu_flag(sizes)}
    if sys.stderr.isatty():
        environment[TERMINAL] = os.ttyname(sys.stderr.fileno())
    log.info("%s", shlex.join(command))
    status = run_logged(command, environment)
    if status:
        raise read_error(spec) or TransientError(
            f"{module}: ended with status {status}; its messages are above, and a retry resumes"
        )


def run_logged(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command, log its output line by line, and return its exit status.

    It dies with this process. SIGTERM is forwarded to it, and its processes are waited for: they save and stop.
    """
    with subprocess.Popen(
        command,
        env=environment,
        preexec_fn=die_with_parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        previous = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        assert process.stdout is not None
        for line in process.stdout:
            log.info("%s", line.rstrip())
        signal.signal(signal.SIGTERM, previous)
    return process.returncode


def cpu_flag(sizes: Sizes) -> str:
    """Return the value of ACCELERATE_USE_CPU: "true" without GPUs."""
    return "false" if sizes.gpus and Path("/dev/nvidiactl").exists() else "true"


def launch_command(module: str, spec_path: str, sizes: Sizes, job_id: str | None) -> list[str]:
    """Return the command line of the launch. Raises HomingError for several nodes without SLURM.

    Several processes need `--multi_gpu` even on CPUs: `--cpu --num_processes 2` starts one process (accelerate 1.15).
    On several nodes the batch script only knows the job's id, so rank and address are determined in the tasks that
    srun starts, one per node. The `static` rendezvous keeps rank 0 on the first node.
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
