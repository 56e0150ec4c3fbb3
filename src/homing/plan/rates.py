"""Seconds and bytes of a job, linear in its units of work: shipped rates, corrected by measured benchmark files."""

import csv
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from homing.errors import HomingError
from homing.plan.facts import Amounts
from homing.plan.jobs import Job
from homing.shipped import ROOT

DEVICES = ("a100", "h100", "h200")
OVERLAPPING = ("gflop", "decoded_gb")  # images are prefetched while the previous step is computed
START = ("job", "compile")  # units of the constant part of a job's time


@dataclass(frozen=True)
class Rate:
    """Seconds per unit of work; `per` says what divides them: nothing (job), its threads or its GPUs.

    With `per` "part", the threads of all parallel parts of an import divide them.
    """

    unit: str
    device: str
    seconds: float
    per: str
    source: str


def _rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "resources" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@functools.cache
def shipped() -> dict[str, list[Rate]]:
    """Return the rates of resources/rates.csv by rule."""
    rates: dict[str, list[Rate]] = defaultdict(list)
    for row in _rows("rates.csv"):
        rate = Rate(row["unit"], row["device"], float(row["seconds"]), row["per"], row["source"])
        rates[row["rule"]].append(rate)
    return dict(rates)


@dataclass
class Model:
    """Times by shipped rates, for a kind of GPU and a download speed in Mbit/s."""

    gpu: str = "a100"
    line_mbit: float = 100.0

    def __post_init__(self) -> None:
        if self.gpu not in DEVICES:
            raise HomingError(f"--gpu {self.gpu}: must be one of {', '.join(DEVICES)}")

    def parts(self, job: Job, amounts: Amounts) -> dict[str, float]:
        """Return the seconds of a job by unit of work."""
        seconds = {}
        for rate in shipped().get(job.rule, shipped()["*"] if job.benchmark else []):
            on_gpu = rate.unit == "gflop" and job.gpus > 0
            if rate.unit == "gflop" and rate.device != (self.gpu if on_gpu else "cpu"):
                continue
            shared = {"job": 1, "thread": job.threads, "gpu": job.gpus, "part": job.threads / amounts.get("part", 1)}
            each = rate.seconds * (100 / self.line_mbit if rate.device == "line" else 1)
            seconds[rate.unit] = each * amounts.get(rate.unit, 0) / shared[rate.per]
        return seconds

    def seconds(self, job: Job, amounts: Amounts) -> float:
        """Return the wall time of a job."""
        parts = self.parts(job, amounts)
        overlapping = [parts.pop(unit) for unit in OVERLAPPING if unit in parts]
        return sum(parts.values()) + max(overlapping, default=0)

    def main_work(self, job: Job, amounts: Amounts) -> "Work | None":
        """Return the rule and the unit with most of its time, or None if the job mostly starts."""
        parts = self.parts(job, amounts)
        units = {unit: seconds for unit, seconds in parts.items() if unit not in START}
        if not units or sum(units.values()) < sum(parts.values()) / 2:
            return None
        return job.rule, max(units, key=units.__getitem__)


Work = tuple[str, str]  # a rule, and the unit with most of its time


@dataclass
class Measured:
    """Times from the benchmark files of a folder, for their own jobs and for other jobs of the same rule.

    A job that mostly starts says nothing about larger ones. If work is at least half of its time by shipped rates, the
    ratio of measured to expected time corrects the shipped rate for this machine.
    """

    seconds: dict[str, float] = field(default_factory=dict)  # measured, by benchmark file
    expected: dict[str, float] = field(default_factory=dict)  # by shipped rates, by benchmark file
    factors: dict[Work, float] = field(default_factory=dict)  # measured / expected

    @classmethod
    def read(cls, folder: Path, jobs: Iterable[Job], model: Model, amounts: Mapping[Job, Amounts]) -> "Measured":
        """Read the benchmark files of jobs; `amounts` are the units of each job when it ran."""
        found = cls()
        measured: dict[Work, float] = defaultdict(float)
        expected: dict[Work, float] = defaultdict(float)
        for job in jobs:
            if not job.benchmark or not (folder / job.benchmark).is_file():
                continue
            found.seconds[job.benchmark] = benchmark_seconds(folder / job.benchmark)
            found.expected[job.benchmark] = model.seconds(job, amounts[job])
            if kind := model.main_work(job, amounts[job]):
                measured[kind] += found.seconds[job.benchmark]
                expected[kind] += found.expected[job.benchmark]
        found.factors = {kind: measured[kind] / expected[kind] for kind in measured}
        return found


def benchmark_seconds(path: Path) -> float:
    """Return the mean wall time in a benchmark file of Snakemake. Raises HomingError if there is none."""
    with path.open(newline="", encoding="utf-8") as file:
        try:
            times = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        except (KeyError, ValueError):
            times = []
    if not times:
        raise HomingError(f"{path}: no Snakemake benchmark (it has no column s with seconds); remove the file")
    return sum(times) / len(times)


@functools.cache
def _files() -> list[dict[str, str]]:
    return _rows("file_sizes.csv")


def file_gb(path: str, amounts: Amounts) -> float:
    """Return the size of an output in GB: the sum of the rows of the first pattern that matches."""
    rows = _matching(path)
    return sum(float(row["bytes"]) * amounts.get(row["unit"], 0) for row in rows) / 1e9


def is_temporary(path: str) -> bool:
    """Return True if Snakemake removes the file after its last reader."""
    return any(row["temporary"] == "yes" for row in _matching(path))


def _matching(path: str) -> list[dict[str, str]]:
    first = next((row["file"] for row in _files() if fnmatchcase(path, row["file"])), None)
    return [row for row in _files() if row["file"] == first]
