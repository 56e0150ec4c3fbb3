"""Seconds and bytes of a job, linear in its units of work: shipped rates, bettered by the run's own benchmark files."""

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
OVERLAPPING = ("gflop", "decoded_gb")  # pictures are decoded ahead while the step before is computed
START = ("job", "compile")  # what a job takes however little it has to do


@dataclass(frozen=True)
class Rate:
    """Seconds per unit; `per` says what shares them: the job, its threads or its GPUs (part: two threads)."""

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
    """By rule the rates of resources/rates.csv."""
    rates = defaultdict(list)
    for row in _rows("rates.csv"):
        rates[row.pop("rule")].append(Rate(**row | {"seconds": float(row["seconds"])}))
    return dict(rates)


@dataclass
class Model:
    """Shipped rates on the devices at hand: the kind of GPU, the line to the internet."""

    gpu: str = "a100"
    line_mbit: float = 100.0

    def __post_init__(self) -> None:
        if self.gpu not in DEVICES:
            raise HomingError(f"--gpu {self.gpu}: rates are known for {', '.join(DEVICES)}")

    def parts(self, job: Job, amounts: Amounts) -> dict[str, float]:
        """Seconds of a job by unit of work."""
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
        """Wall time of a job."""
        parts = self.parts(job, amounts)
        ahead = [parts.pop(unit) for unit in OVERLAPPING if unit in parts]
        return sum(parts.values()) + max(ahead, default=0)

    def work(self, job: Job, amounts: Amounts) -> "Work | None":
        """What the job mostly does; None where it mostly starts."""
        parts = self.parts(job, amounts)
        units = {unit: seconds for unit, seconds in parts.items() if unit not in START}
        if not units or sum(units.values()) < sum(parts.values()) / 2:
            return None
        return job.rule, max(units, key=units.get)


Work = tuple[str, str]  # a rule, and the unit that most of its time goes into


@dataclass
class Measured:
    """Benchmark files of this folder: they speak for their own job, and for other jobs of the rule where they are work.

    A measured job that is mostly start says nothing of larger ones; where work is at least half of what the shipped
    rates give it, the ratio of measured to shipped is this machine's own rate.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    factors: dict[Work, float] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, jobs: Iterable[Job], model: Model, amounts: Mapping[Job, Amounts]) -> "Measured":
        """`amounts`: the units of each job as they were when it ran."""
        found, measured, expected = cls(), defaultdict(float), defaultdict(float)
        for job in jobs:
            path = folder / job.benchmark if job.benchmark else None
            if not path or not path.is_file():
                continue
            found.seconds[job.benchmark] = benchmark_seconds(path)
            found.expected[job.benchmark] = model.seconds(job, amounts[job])
            if kind := model.work(job, amounts[job]):
                measured[kind] += found.seconds[job.benchmark]
                expected[kind] += found.expected[job.benchmark]
        found.factors = {kind: measured[kind] / expected[kind] for kind in measured}
        return found


def benchmark_seconds(path: Path) -> float:
    """Mean wall time of a Snakemake benchmark file. Raises HomingError when it holds none."""
    with path.open(newline="", encoding="utf-8") as file:
        try:
            times = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        except (KeyError, ValueError):
            times = []
    if not times:
        raise HomingError(f"{path}: no Snakemake benchmark (a column s with seconds); remove it")
    return sum(times) / len(times)


@functools.cache
def _files() -> list[dict[str, str]]:
    return _rows("file_sizes.csv")


def file_gb(path: str, amounts: Amounts) -> float:
    """Size of a file that a job writes, GB: the sum of the rows of the first pattern that fits."""
    rows = _matching(path)
    return sum(float(row["bytes"]) * amounts.get(row["unit"], 0) for row in rows) / 1e9


def is_temporary(path: str) -> bool:
    """Whether Snakemake removes it when all that read it are done."""
    return any(row["temporary"] == "yes" for row in _matching(path))


def _matching(path: str) -> list[dict[str, str]]:
    first = next((row["file"] for row in _files() if fnmatchcase(path, row["file"])), None)
    return [row for row in _files() if row["file"] == first]
