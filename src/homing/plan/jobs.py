"""The jobs that Snakemake would run, as its dry run reports them to the logger plugin in `workflow/plugins`."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import yaml

from homing.errors import HomingError
from homing.jobs.code import SOURCE
from homing.shipped import ROOT

PLUGINS = ROOT / "workflow/plugins"
PROFILE_FILES = ("profile.yaml", "config.yaml")  # the second is the older name
INSTALL_WORKFLOW = "pip install 'homing[workflow]'"


@dataclass(frozen=True, eq=False)
class Job:
    """One job: rule, wildcards, files and requested resources."""

    rule: str
    wildcards: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    benchmark: str | None = None
    threads: int = 1
    resources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """GPUs on all nodes: `gpu` counts those of the job, `gres: gpu:N` those of each node."""
        if "gres" in self.resources:
            return int(str(self.resources["gres"]).rsplit(":", 1)[-1]) * int(self.resources.get("nodes", 1))
        return int(self.resources.get("gpu", 0))


def planned_jobs(
    folder: Path,
    configfiles: Sequence[str] = (),
    profiles: Sequence[str] = (),
    targets: Sequence[str] = (),
    every: bool = False,
) -> list[Job]:
    """Return the jobs of a dry run in `folder`, each after the jobs it needs; with `every`, finished jobs too.

    Nothing is locked. Raises HomingError with the complaint of Snakemake.
    """
    if not has_snakemake():
        raise HomingError(f"Snakemake is not installed: {INSTALL_WORKFLOW}")
    found = [profile_of(folder, profile) for profile in profiles or ["local"]]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "jobs.jsonl"
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--nolock", "--snakefile", str(snakefile(folder))]
        command += [word for profile in found for word in ("--profile", str(profile))]
        command += ["--configfile", *configfiles] if configfiles else []
        command += ["--logger", "homing", "--logger-homing-path", str(path)]
        command += ["--forceall"] if every else []
        command += [] if is_local(found) else ["--cores", "100000"]  # without it, a dry run caps threads at one
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), str(PLUGINS)])}
        done = subprocess.run(
            [*command, "--", *targets], cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT, text=True
        )
        if done.returncode:
            raise HomingError(f"the dry run failed: {_complaint(done.stdout)}")
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return in_order(Job(**json.loads(line)) for line in lines)


def has_snakemake() -> bool:
    """Return True if Snakemake is installed. Prediction needs no workflow, so that it is an extra of the package."""
    return find_spec("snakemake") is not None


def read_profile(path: Path) -> dict[str, Any]:
    """Return the keys of a profile. Raises HomingError if it is not valid YAML."""
    file = next((path / name for name in PROFILE_FILES if (path / name).is_file()), path)
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise HomingError(f"{file}: invalid YAML ({str(error).splitlines()[0]})") from None


def is_local(profiles: Iterable[Path]) -> bool:
    """Return True if jobs run on this machine."""
    return all(read_profile(path).get("executor", "local") == "local" for path in profiles)


def snakefile(folder: Path) -> Path:
    """Return the Snakefile of `folder`, else the one shipped with this library."""
    return folder / "Snakefile" if (folder / "Snakefile").is_file() else ROOT / "Snakefile"


def profile_of(folder: Path, name: str) -> Path:
    """Return the folder or file of a profile, given by path or name. Raises HomingError naming the shipped ones."""
    for path in (folder / name, folder / "profiles" / name, ROOT / name, ROOT / "profiles" / name):
        if path.is_file() or any((path / file).is_file() for file in PROFILE_FILES):
            return path.resolve()
    shipped = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/profile.yaml"))
    raise HomingError(f"--profile {name}: no profile.yaml there; shipped profiles: {', '.join(shipped)}")


def _complaint(output: str) -> str:
    """Return the line of Snakemake's output that says what is wrong: missing files, our own error, or the last line."""
    if missing := re.search(r"Missing input files for rule (\w+):.*?affected files:\n((?:\s+\S.*\n?)+)", output, re.S):
        return f"rule {missing[1]} needs {', '.join(missing[2].split())}: no such file"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    own = [line for line in lines if "HomingError" in line or line.startswith("config: ")]
    return (
        (own or lines or ["Snakemake printed nothing"])[-1].removeprefix("homing.errors.").removeprefix("HomingError: ")
    )


def producers(jobs: Iterable[Job]) -> dict[str, Job]:
    """Return the job that makes each file."""
    return {file: job for job in jobs for file in job.outputs}


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs, each after those whose files it reads."""
    jobs = list(jobs)
    maker = producers(jobs)
    return list(
        TopologicalSorter({job: [maker[file] for file in job.inputs if file in maker] for job in jobs}).static_order()
    )
