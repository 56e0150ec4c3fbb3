"""The plan: the jobs of a dry run, their amounts of work, and the hours and bytes that rates make of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from homing.config import configuration
from homing.errors import HomingError
from homing.files import read_json
from homing.jobs.code import SOURCE
from homing.plan.facts import Amounts, Facts, disk_gb
from homing.plan.jobs import Job, planned_jobs, producers
from homing.plan.rates import DEVICES, Measured, Model, file_gb, is_temporary, shipped

HOUR = 3600
OWN_SOURCES = ("demo", "sample", "benchmarks/", "docs/")  # beginnings of the sources of rates that Homing measured


@dataclass(frozen=True)
class Request:
    """What to plan: a folder (with or without `results/`), configuration files, profiles, targets."""

    folder: Path
    configfiles: Sequence[str] = ()
    profiles: Sequence[str] = ()
    targets: Sequence[str] = ()
    photos: Mapping[str, int] = field(default_factory=dict)  # number of photos by data set, as the user says
    gpu: str | None = None  # kind of GPU; None: what the profile asks for
    line_mbit: float = 100.0  # download speed, Mbit/s


@dataclass
class Line:
    """One rule of the plan. Hours are reserved hours: wall time times the cores or GPUs of the job."""

    rule: str
    jobs: int = 0
    input_gb: float = 0.0
    output_gb: float = 0.0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    longest_job_hours: float = 0.0
    measured_jobs: int = 0
    rates: str = ""


@dataclass
class Plan:
    """The estimate of each rule, totals, and what they are based on."""

    rules: list[Line]
    chain: list[str]  # rules of the critical path
    chain_hours: float
    peak_disk_gb: float
    kept_gb: float
    download_gb: float
    unknowns: dict[str, str]  # what had to be assumed -> the assumption
    advice: list[str]
    device: str
    jobs: list[Job] = field(repr=False)
    seconds: dict[Job, float] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return everything except the single jobs, with totals."""
        content = {name: value for name, value in vars(self).items() if name not in ("jobs", "seconds")}
        return content | {"rules": [asdict(line) for line in self.rules], "total": asdict(self.total())}

    def total(self) -> Line:
        """Return the sums over all rules, and the longest job."""
        sums = {name: sum(getattr(line, name) for line in self.rules) for name in SUMMED}
        return Line("total", **sums, longest_job_hours=max((line.longest_job_hours for line in self.rules), default=0))


class Work(NamedTuple):
    """What jobs read, write and do."""

    reads: dict[Job, float]  # GB read by each job
    sizes: dict[str, float]  # GB of each file that is written
    amounts: dict[Job, Amounts]  # units of work of each job


SUMMED = ("jobs", "input_gb", "output_gb", "cpu_hours", "gpu_hours", "measured_jobs")


def read_config(folder: Path, configfiles: Sequence[str]) -> configuration.Config:
    """Return the resolved configuration; later files override earlier ones. Raises HomingError."""
    given: configuration.Config = {}
    for name in configfiles:
        path = folder / name
        if not path.is_file():
            raise HomingError(f"--configfile {name}: no such file")
        try:
            given = configuration.merge(given, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except yaml.YAMLError as error:
            raise HomingError(f"--configfile {name}: invalid YAML ({str(error).splitlines()[0]})") from None
    return configuration.resolve(given)


def make_plan(request: Request) -> Plan:
    """Plan a run. Raises HomingError if the configuration is invalid or the dry run fails."""
    folder = request.folder
    facts = Facts(read_config(folder, request.configfiles), folder, request.photos)
    arguments = (folder, request.configfiles, request.profiles, request.targets)
    jobs = planned_jobs(*arguments)
    model = Model(request.gpu or _gpu(jobs), request.line_mbit)
    work = _work(jobs, facts)
    amounts, measured = work.amounts, Measured()
    if (folder / "results/benchmarks").is_dir():
        every = planned_jobs(*arguments, every=True)
        measured = Measured.read(folder, every, model, _work_as_run(every, facts))
    seconds = {job: _seconds(job, amounts[job], model, measured) for job in jobs}
    chain, chain_seconds = _chain(jobs, seconds, amounts)
    return Plan(
        rules=_lines(work, seconds, measured),
        chain=chain,
        chain_hours=chain_seconds / HOUR,
        peak_disk_gb=_peak_gb(jobs, work.sizes),
        kept_gb=sum(size for path, size in work.sizes.items() if not is_temporary(path)),
        download_gb=sum(amounts[job].get("line_gb", 0) for job in jobs),
        unknowns=facts.unknowns | _unknown_rates(jobs, amounts, model) | _unknown_sizes(facts),
        advice=[line for job in jobs for line in _decoding_advice(job, model.parts(job, amounts[job]))],
        device=model.gpu if any(job.gpus for job in jobs) else "cpu",
        jobs=jobs,
        seconds=seconds,
    )


def _gpu(jobs: Sequence[Job]) -> str:
    """Return the kind of GPU that the profile asks for, else the slowest kind with rates (the first)."""
    named = [str(job.resources["gpu_model"]).lower() for job in jobs if "gpu_model" in job.resources]
    return next((name for name in named if name in DEVICES), DEVICES[0])


def _work(jobs: Sequence[Job], facts: Facts) -> Work:
    """Return the work of jobs, which must be in order of execution."""
    work = Work({}, {}, {})
    seen: set[str] = set()
    reads, sizes, amounts = work
    for job in jobs:
        read_gb = {path: sizes[path] if path in sizes else disk_gb(facts.folder / path) for path in job.inputs}
        amounts[job] = facts.amounts(job, _raw_sizes(read_gb, facts))
        amounts[job]["compile"] = float(job.rule not in seen and not _compiled())
        seen.add(job.rule)
        reads[job] = sum(_raw_sizes(read_gb, facts).values()) * amounts[job].get("part", 1)
        sizes |= {path: file_gb(path, amounts[job]) for path in job.outputs}
    return work


def _raw_sizes(read_gb: Mapping[str, float], facts: Facts) -> dict[str, float]:
    """Return the sizes of the inputs; a raw file that is a link takes no disk but is read in full."""
    found = dict(read_gb)
    for path in read_gb:
        parts = path.split("/")
        if path.startswith("results/raw/") and "manifests" not in parts and len(parts) == 5 and not read_gb[path]:
            found[path] = facts.raw_gb("/".join(parts[2:4]), parts[4]) or 0.0
    return found


def _compiled() -> bool:
    """Return True if numba has cached its compiled functions in an earlier run of this checkout."""
    return any((SOURCE / "homing/labels/__pycache__").glob("*.nbi"))


def _work_as_run(jobs: Sequence[Job], facts: Facts) -> dict[Job, Amounts]:
    """Return the units of finished jobs under the configuration they ran with, if the provenance of the run has it."""
    found = _work(jobs, replace(facts, unknowns={}, unsized=[])).amounts
    for run in {job.wildcards["run"] for job in jobs if "run" in job.wildcards}:
        path = facts.folder / f"results/runs/{run}/provenance.json"
        if path.is_file() and "config" in (provenance := read_json(path)):
            config = configuration.resolve(provenance["config"] | {"mirror": facts.config["mirror"]})
            as_run = Facts(config, facts.folder, facts.stated)
            own = {job for job in jobs if job.wildcards.get("run") == run}
            found |= {job: units for job, units in _work(jobs, as_run).amounts.items() if job in own}
    return found


def _seconds(job: Job, amounts: Amounts, model: Model, measured: Measured) -> float:
    """Return the measured time of a job, scaled if its work has changed; else its time by measured or shipped rates."""
    expected = model.seconds(job, amounts)
    if job.benchmark in measured.seconds:
        return measured.seconds[job.benchmark] * expected / measured.expected[job.benchmark]
    work = model.main_work(job, amounts)
    return expected * measured.factors.get(work, 1.0) if work else expected


def _chain(
    jobs: Sequence[Job], seconds: Mapping[Job, float], amounts: Mapping[Job, Amounts]
) -> tuple[list[str], float]:
    """Return the rules of the critical path and its seconds.

    All downloads share one line to the internet: each is complete when the last one is.
    """
    maker = producers(jobs)
    best: dict[Job, float] = {}  # seconds of the longest path that ends with the job
    before: dict[Job, Job | None] = {}
    line = sum(seconds[job] for job in jobs if "line_gb" in amounts[job])
    for job in jobs:
        needed = {maker[path] for path in job.inputs if path in maker}
        before[job] = max(needed, key=best.__getitem__, default=None)
        own = line if "line_gb" in amounts[job] else seconds[job]
        best[job] = own + max((best[one] for one in needed), default=0)
    step = max(jobs, key=best.__getitem__, default=None)
    total = best[step] if step else 0.0
    chain: list[str] = []
    while step:
        chain.insert(0, step.rule)
        step = before[step]
    return chain, total


def _peak_gb(jobs: Sequence[Job], sizes: Mapping[str, float]) -> float:
    """Return the most disk needed at a time beyond present files; temporary files go after their last reader."""
    readers = {path: max((n for n, job in enumerate(jobs) if path in job.inputs), default=None) for path in sizes}
    used = peak = 0.0
    for number, job in enumerate(jobs):
        used += _written_gb(job, sizes)
        peak = max(peak, used)
        done = [path for path, last in readers.items() if last == number and is_temporary(path)]
        used -= sum(sizes[path] for path in done if "/import/part-" not in path)
    return peak


def _written_gb(job: Job, sizes: Mapping[str, float]) -> float:
    """Return what a job adds on disk; the shards of import_photos are hard links to those of its parts."""
    linked = job.rule == "import_photos"
    return sum(sizes[path] for path in job.outputs if not (linked and path.endswith("/shards")))


def _lines(work: Work, seconds: Mapping[Job, float], measured: Measured) -> list[Line]:
    """Return a line per rule, in order of the jobs; rules without a script (`all`) take no time."""
    lines: dict[str, Line] = {}
    for job in work.reads:
        line, hours = lines.setdefault(job.rule, Line(job.rule)), seconds[job] / HOUR
        line.jobs += 1
        line.input_gb += work.reads[job]
        line.output_gb += _written_gb(job, work.sizes)
        line.cpu_hours += hours * job.threads * int(job.resources.get("nodes", 1))
        line.gpu_hours += hours * job.gpus
        line.longest_job_hours = max(line.longest_job_hours, hours)
        line.measured_jobs += job.benchmark in measured.seconds
    scaled = {rule for rule, _ in measured.factors}
    for job in work.reads:
        line = lines[job.rule]
        own = line.measured_jobs == line.jobs or job.rule in scaled
        line.rates = ("measured here" if own else "shipped") if job.benchmark else ""
    return list(lines.values())


def _decoding_advice(job: Job, parts: Mapping[str, float]) -> list[str]:
    """Advise more threads if decoding photos takes longer than the GPUs compute on them."""
    if not job.gpus or parts.get("decoded_gb", 0) < 1.2 * parts.get("gflop", 0):
        return []
    cores = math.ceil(job.threads * parts["decoded_gb"] / parts["gflop"])
    advice = f"in the profile, set-threads: {job.rule}: {cores}"
    return [f"{job.rule}: {job.threads} threads decode photos more slowly than the GPUs compute; {advice}"]


def _unknown_sizes(facts: Facts) -> dict[str, str]:
    names = facts.unsized
    return {f"size of {len(names)} raw files": ", ".join(names[:3]) + ", ..." * (len(names) > 3)} if names else {}


def _unknown_rates(jobs: Sequence[Job], amounts: Mapping[Job, Amounts], model: Model) -> dict[str, str]:
    """Return rates not measured by Homing that determine more than a twentieth of the time, with their sources."""
    spent: dict[tuple[str, str, bool], float] = {}
    for job in jobs:
        for unit, part in model.parts(job, amounts[job]).items():
            spent[job.rule, unit, job.gpus > 0] = spent.get((job.rule, unit, job.gpus > 0), 0.0) + part
    found = {}
    for (rule, unit, on_gpu), part in sorted(spent.items(), key=lambda item: -item[1]):
        devices = (model.gpu if on_gpu and unit == "gflop" else "cpu", "line")
        rate = next((one for one in shipped().get(rule, []) if one.unit == unit and one.device in devices), None)
        large = part > sum(spent.values()) / 20
        if rate and large and not rate.source.startswith(OWN_SOURCES):
            found[f"rate of {rule} per {unit} ({rate.device})"] = rate.source
    return found
