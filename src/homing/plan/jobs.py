"""The jobs that Snakemake would run: its own dry run, told job by job by the logger plugin in `workflow/plugins`."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import yaml

from homing.errors import HomingError
from homing.jobs.code import SOURCE
from homing.shipped import ROOT

PLUGINS = ROOT / "workflow/plugins"
PROFILE_FILES = ("profile.yaml", "config.yaml")  # the second is the older name


@dataclass(frozen=True, eq=False)
class Job:
    """One job: its rule and wildcards, its files, what it asks for."""

    rule: str
    wildcards: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    benchmark: str | None = None
    threads: int = 1
    resources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """GPUs on all its nodes: `gpu` counts those of a job, `gres: gpu:N` those of each node."""
        if "gres" in self.resources:
            return int(str(self.resources["gres"]).rsplit(":", 1)[-1]) * int(self.resources.get("nodes", 1))
        return int(self.resources.get("gpu", 0))


def planned_jobs(
    folder: Path,
    configfiles: Sequence[str] = (),
    profiles: Sequence[str] = (),
    targets: Sequence[str] = (),
    every=False,
) -> list[Job]:
    """The jobs of a dry run in `folder`, each after those it needs; `every`: those too whose results are there.

    `results/` is that of `folder`; nothing is locked. Raises HomingError with what Snakemake says.
    """
    found = [profile_of(folder, profile) for profile in profiles or ["local"]]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "jobs.jsonl"
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--nolock", "--snakefile", str(snakefile(folder))]
        command += [word for profile in found for word in ("--profile", str(profile))]
        command += ["--configfile", *configfiles] if configfiles else []
        command += ["--logger", "homing", "--logger-homing-path", str(path)]
        command += ["--forceall"] if every else []
        command += [] if is_local(found) else ["--cores", "100000"]  # else a dry run caps the threads to one
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), str(PLUGINS)])}
        done = subprocess.run(
            [*command, "--", *targets], cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT, text=True
        )
        if done.returncode:
            raise HomingError(f"the dry run failed: {_complaint(done.stdout)}")
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return in_order(Job(**json.loads(line)) for line in lines)


def read_profile(path: Path) -> dict[str, Any]:
    """The keys of a profile. Raises HomingError when it is no YAML."""
    file = next((path / name for name in PROFILE_FILES if (path / name).is_file()), path)
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise HomingError(f"{file}: no YAML ({str(error).splitlines()[0]})") from None


def is_local(profiles: Iterable[Path]) -> bool:
    """Whether jobs run on this machine."""
    return all(read_profile(path).get("executor", "local") == "local" for path in profiles)


def snakefile(folder: Path) -> Path:
    """The Snakefile of `folder`, or that of this library's own checkout."""
    return folder / "Snakefile" if (folder / "Snakefile").is_file() else ROOT / "Snakefile"


def profile_of(folder: Path, name: str) -> Path:
    """The folder or file of a profile, given by path or by name. Raises HomingError naming those there are."""
    for path in (folder / name, folder / "profiles" / name, ROOT / name, ROOT / "profiles" / name):
        if path.is_file() or any((path / file).is_file() for file in PROFILE_FILES):
            return path.resolve()
    known = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/profile.yaml"))
    raise HomingError(f"--profile {name}: no profile.yaml there; those that come along: {', '.join(known)}")


def _complaint(output: str) -> str:
    """The line that says what is wrong: files that are missing, else our own line, else the last of Snakemake's."""
    if missing := re.search(r"Missing input files for rule (\w+):.*?affected files:\n((?:\s+\S.*\n?)+)", output, re.S):
        return f"rule {missing[1]} needs {', '.join(missing[2].split())}: no such file"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    own = [line for line in lines if "HomingError" in line or line.startswith("config: ")]
    return (own or lines or ["it says nothing"])[-1].removeprefix("homing.errors.").removeprefix("HomingError: ")


def producers(jobs: Iterable[Job]) -> dict[str, Job]:
    """By each file the job that makes it."""
    return {file: job for job in jobs for file in job.outputs}


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """The jobs, each after those whose files it reads."""
    jobs = list(jobs)
    maker = producers(jobs)
    return list(
        TopologicalSorter({job: [maker[file] for file in job.inputs if file in maker] for job in jobs}).static_order()
    )
