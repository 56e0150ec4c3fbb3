"""Checks of SLURM: commands, accounting, and whether the partitions grant what the jobs request."""

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homing.doctor.checks import Check, ask, fail, listed, ok, warn
from homing.plan.jobs import Job

MIN_JOB_AGE_SECONDS = 120  # three times the executor plugin's polling interval of 40 s
NO_PARTITION = "(the default one)"


@dataclass
class Partition:
    """A partition, with the largest resources of any of its nodes."""

    up: bool = False
    minutes: float = 0.0
    cpus: int = 0
    memory_mb: int = 0
    gpus: dict[str, int] = field(default_factory=dict)
    default: bool = False


def slurm(profile: Mapping[str, Any], jobs: Sequence[Job]) -> list[Check]:
    """Return all checks, given the keys of the profile and the jobs of the run with their resources."""
    needed = profile.get("executor") == "slurm"
    answer = ask("sinfo", "--noheader", "--format=%P|%a|%l|%c|%m|%G")
    if answer is None or not answer.good:
        trouble = "no sinfo on PATH" if answer is None else f"sinfo: {answer.text}"
        if not needed:
            return [ok("SLURM", f"{trouble}; the profile does not need it")]
        fix = "run on a login node of the cluster, where sinfo is on PATH, or use --profile local"
        return [fail("SLURM", trouble, fix)]
    partitions = read_partitions(answer.text)
    found = [ok("SLURM", f"available; partitions: {listed(sorted(partitions))}")]
    if not needed:
        return found
    return [*found, status_command(profile), account(profile), *requests(partitions, jobs)]


def read_partitions(text: str) -> dict[str, Partition]:
    """Parse the output of sinfo: one line per partition and kind of node; `*` marks the default partition."""
    partitions: dict[str, Partition] = defaultdict(Partition)
    for line in text.splitlines():
        name, state, limit, cpus, memory, gres = line.split("|")
        one = partitions[name.rstrip("*")]
        one.default |= name.endswith("*")
        one.up |= state == "up"
        one.minutes = max(one.minutes, minutes(limit))
        one.cpus = max(one.cpus, int(cpus.rstrip("+")))
        one.memory_mb = max(one.memory_mb, int(memory.rstrip("+")))
        for kind, count in re.findall(r"gpu:(?:([^:,(]+):)?(\d+)", gres):
            one.gpus[kind.lower()] = max(int(count), one.gpus.get(kind.lower(), 0))
    return dict(partitions)


def minutes(limit: str) -> float:
    """Convert a time limit of SLURM ([days-]hours:minutes:seconds, minutes:seconds or infinite) to minutes."""
    if limit in ("infinite", "UNLIMITED", "n/a"):
        return float("inf")
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, *rest = parts if len(parts) == 3 or days else [0, *parts]
    within, seconds = [*rest, 0, 0][:2]
    return int(days or 0) * 1440 + hours * 60 + within + seconds / 60


def status_command(profile: Mapping[str, Any]) -> Check:
    """Check the command by which the executor plugin asks for job states: sacct needs accounting."""
    name, set_to = "status command", profile.get("slurm-status-command", "sacct")
    accounting, queue = ask("sacct", "--noheader", "--parsable2", "--format=JobID"), ask("squeue", "--noheader", "--me")
    if accounting and accounting.good:
        if set_to == "sacct":
            return ok(name, "sacct; accounting works")
        return ok(name, "squeue; sacct works too and says why jobs failed: slurm-status-command: sacct")
    trouble = accounting.text if accounting else "no sacct on PATH"
    if not (queue and queue.good):
        found = f"neither sacct ({trouble}) nor squeue ({queue.text if queue else 'not on PATH'}) works"
        return fail(name, found, "run on a login node, or ask your site which of the two works")
    if set_to != "squeue":
        return fail(name, f"no accounting ({trouble}): a run would wait forever", "slurm-status-command: squeue")
    return min_job_age(name, trouble)


def min_job_age(name: str, trouble: str) -> Check:
    """Check that squeue remembers finished jobs (MinJobAge) until the plugin asks for them."""
    shown = ask("scontrol", "show", "config")
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", shown.text, re.M) if shown and shown.good else None
    if age and int(age[1]) < MIN_JOB_AGE_SECONDS:
        fix = f"ask your site for MinJobAge >= {MIN_JOB_AGE_SECONDS} s, or seconds-between-status-checks: 10"
        return warn(name, f"squeue, but it forgets finished jobs after {age[1]} s", fix)
    return ok(name, f"squeue; no accounting ({trouble})")


def account(profile: Mapping[str, Any]) -> Check:
    """Check that jobs name the account they run on."""
    defaults = profile.get("default-resources", {})
    given = defaults.get("slurm_account") if isinstance(defaults, Mapping) else None
    if given and profile.get("slurm-no-account"):
        return fail("account", f"slurm_account {given} and slurm-no-account contradict", "remove slurm-no-account")
    if given:
        return ok("account", str(given))
    known = ask("sacctmgr", "--noheader", "--parsable2", "show", "user", "withassoc", "format=account")
    names = sorted(set(known.text.split())) if known and known.good else []
    found = f"none is given{f'; the cluster knows {listed(names)}' if names else ''}"
    if profile.get("slurm-no-account"):
        return ok("account", found)
    return warn("account", found, "slurm-no-account: true, or default-resources: slurm_account: NAME")


def requests(partitions: Mapping[str, Partition], jobs: Sequence[Job]) -> list[Check]:
    """Check what the jobs request against what their partitions grant; one check per partition and problem."""
    default = next((name for name, one in partitions.items() if one.default), None)
    problems: dict[tuple[str, str], None] = {}  # without duplicates, in order
    names = set()
    for job in jobs:
        if not job.benchmark:  # a target, which runs nowhere
            continue
        name = str(job.resources.get("slurm_partition", default or NO_PARTITION))
        names.add(name)
        for problem, fix in refused(name, partitions, job):
            problems[f"{job.rule}: {problem}", fix] = None
    found = [fail("partition", problem, fix) for problem, fix in problems]
    if not names:
        return [ok("partitions", "none is needed: there is nothing to run")]
    return found or [ok("partitions", f"{listed(sorted(names))}: up, and grant what the rules request")]


def refused(name: str, partitions: Mapping[str, Partition], job: Job) -> list[tuple[str, str]]:
    """Return the requests of a job that its partition does not grant, each with its fix."""
    if name not in partitions:
        near = difflib.get_close_matches(name, partitions, 1)
        return [
            (f"no partition {name!r}; there are {', '.join(sorted(partitions))}", _set(job, "slurm_partition", *near))
        ]
    grants, requested = partitions[name], job.resources
    found: list[tuple[str, str]] = []
    if not grants.up:
        found.append((f"partition {name} is down", _set(job, "slurm_partition")))
    if _number(requested.get("runtime")) > grants.minutes:
        problem = f"runtime {requested['runtime']} min is above the limit of {name}: the job would never start"
        found.append((problem, _set(job, "runtime", int(grants.minutes))))
    if _number(requested.get("mem_mb")) > grants.memory_mb:
        problem = f"mem_mb {requested['mem_mb']} is more than any node of {name} has"
        found.append((problem, _set(job, "mem_mb", grants.memory_mb)))
    if job.threads > grants.cpus:
        found.append((f"{job.threads} threads are more than any node of {name} has",
                      f"set-threads: {job.rule}: {grants.cpus}"))  # fmt: skip
    return found + _gpus_refused(name, grants, job)


def _gpus_refused(name: str, grants: Partition, job: Job) -> list[tuple[str, str]]:
    """Return the GPUs of a job that its partition does not grant, with the fix."""
    wanted = job.gpus // int(job.resources.get("nodes", 1))
    most, kind = max(grants.gpus.values(), default=0), str(job.resources.get("gpu_model", "")).lower()
    if wanted > most:
        return [(f"{wanted} GPUs per node, {name} has {most or 'none'}", _set(job, "slurm_partition"))]
    if wanted and kind and kind not in grants.gpus:
        names = ", ".join(sorted(filter(None, grants.gpus))) or "GPUs without model names"
        return [(f"gpu_model {kind}: {name} has {names}", _set(job, "gpu_model"))]
    return []


def _set(job: Job, key: str, *values: object) -> str:
    return f"profile: set-resources: {job.rule}: {{{key}: {values[0] if values else '...'}}}"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
