"""Faults that a cluster has: a node set down, a cancelled job, a time limit, a requeue, killed processes.

Two ways to meet them: through Snakemake, whose retries go on, and in batch jobs of our own beside it (job.py), which
run while Snakemake waits.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
TRAINING = "python.* homing.training.pretrain"
ENDED = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"}


def wait_for(condition: Callable[[], object], what: str, seconds: float = 240) -> object:
    """Wait until a condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s for {what}\n{output_of('squeue')}")
        time.sleep(0.1)
    return found


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def newest_step(checkpoints: Path) -> int:
    """Of those that are written to the end: while one is written, it lies in a hidden folder."""
    walk = os.walk(checkpoints)  # which bears that folders vanish meanwhile
    whole = (name for folder, names, _ in walk if not Path(folder).name.startswith(".") for name in names)
    return max((int(name.removeprefix("step-")) for name in whole if name.startswith("step-")), default=0)


def state_of(job: str) -> str:
    found = re.search(r"JobState=(\w+)", output_of("scontrol", "--oneliner", "show", "job", job))
    return found.group(1) if found else "UNKNOWN"


def processes(pattern: str) -> list[int]:
    return [int(line) for line in output_of("pgrep", "-f", pattern).split()]


# Through Snakemake: one fault after the other meets rule pretrain_clip.


def kill_a_process(job: str, node: str) -> None:
    """The second of the training's; the first one and the launcher live."""
    ranks = set(processes(TRAINING)) - set(processes("accelerate.commands.launch"))
    os.kill(max(ranks), signal.SIGKILL)


def set_the_node_down(job: str, node: str) -> None:
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test"], check=True)


def cancel(job: str, node: str) -> None:
    subprocess.run(["scancel", job], check=True)


def meet_faults(checkpoints: Path, met: list[str]) -> None:
    """Each fault once its job has written a checkpoint; what was met is added to `met`, with the state it led to."""
    for fault in (kill_a_process, set_the_node_down, cancel):
        job, node = wait_for(lambda: running("rule_pretrain_clip"), "a job that runs")[0]
        step = newest_step(checkpoints)
        wait_for(lambda: newest_step(checkpoints) > step, "a checkpoint")  # noqa: B023
        frozen = processes(TRAINING)
        for process in frozen:  # while we ask Slurm, the training would come to its end
            os.kill(process, signal.SIGSTOP)
        fault(job, node)
        for process in set(frozen) & set(processes(TRAINING)):
            os.kill(process, signal.SIGCONT)
        met.append(f"{fault.__name__}: {ended(job)} on {node}")


def running(comment: str) -> list[tuple[str, str]]:
    """Number and node of the running jobs with such a comment."""
    lines = (line.split(maxsplit=2) for line in output_of("squeue", "-ht", "R", "-o", "%i %N %k").splitlines())
    return [(job, node) for job, node, said in lines if comment in said]


# In batch jobs of our own.


def submit(folder: Path, nodes: int, minutes: int, seconds_per_step: float) -> str:
    """Submit the training of a folder's spec; returns the job's number."""
    command = [sys.executable, str(HERE / "job.py"), str(folder / "spec.json"), str(nodes)]
    options = ["--partition=gpu", f"--nodes={nodes}", f"--ntasks={nodes}", "--cpus-per-task=1", "--mem=2000"]
    options += [f"--time={minutes}", "--requeue", "--open-mode=append", f"--output={folder}/job.log", "--parsable"]
    environment = os.environ | {"SECONDS_PER_STEP": str(seconds_per_step), "ACCELERATE_USE_CPU": "true"}
    environment["PYTHONPATH"] = f"{HERE}:{environment['PYTHONPATH']}"
    wrapped = ["sbatch", *options, "--wrap", " ".join(command)]
    return subprocess.run(wrapped, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def ended(job: str) -> str:
    """Wait for the end of a job; its state."""
    wait_for(lambda: state_of(job) in ENDED, f"job {job} to end")
    return state_of(job)


def meet_a_time_limit(folder: Path) -> list[str]:
    """The states of a job that takes longer than its minute, and of the next one."""
    limited = ended(submit(folder, nodes=1, minutes=1, seconds_per_step=2.5))
    return [limited, ended(submit(folder, nodes=1, minutes=10, seconds_per_step=0))]


def meet_a_requeue_and_a_killed_launcher(folder: Path) -> list[str]:
    """The states of a job on two nodes that is requeued, then loses a launcher, and of the next one."""
    checkpoints = folder / "checkpoints"
    job = submit(folder, nodes=2, minutes=10, seconds_per_step=1)
    wait_for(lambda: newest_step(checkpoints) > 2, "a checkpoint on two nodes")
    subprocess.run(["scontrol", "requeue", job], check=True)
    wait_for(lambda: state_of(job) == "PENDING", "the requeue")
    step = newest_step(checkpoints)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)
    wait_for(lambda: newest_step(checkpoints) > step + 2, "a checkpoint after the requeue")
    for process in processes("accelerate.commands.launch.*--machine_rank 1.*slow_pretrain"):
        os.kill(process, signal.SIGKILL)
    return ["REQUEUED", ended(job), ended(submit(folder, nodes=2, minutes=10, seconds_per_step=0))]
