"""The plan: jobs of the dry run, their work, and what shipped and measured rates make of it."""

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
OWN = ("demo", "sample", "benchmarks/", "docs/")  # how the sources of rates begin that Homing measured itself


@dataclass(frozen=True)
class Request:
    """What is planned: a folder (with `results/`, or without), configuration files, a profile, targets."""

    folder: Path
    configfiles: Sequence[str] = ()
    profiles: Sequence[str] = ()
    targets: Sequence[str] = ()
    photos: Mapping[str, int] = field(default_factory=dict)
    gpu: str | None = None
    line_mbit: float = 100.0


@dataclass
class Line:
    """One rule of the plan. Hours are those that are reserved: wall time by the cores or GPUs of the job."""

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
    """The lines, totals, and what they stand on."""

    rules: list[Line]
    chain: list[str]
    chain_hours: float
    peak_disk_gb: float
    kept_gb: float
    download_gb: float
    unknowns: dict[str, str]
    advice: list[str]
    device: str
    jobs: list[Job] = field(repr=False)
    seconds: dict[Job, float] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Everything but the single jobs, with totals."""
        content = {name: value for name, value in vars(self).items() if name not in ("jobs", "seconds")}
        return content | {"rules": [asdict(line) for line in self.rules], "total": asdict(self.total())}

    def total(self) -> Line:
        """The sum of all rules; the longest job of any."""
        sums = {name: sum(getattr(line, name) for line in self.rules) for name in SUMMED}
        return Line("total", **sums, longest_job_hours=max((line.longest_job_hours for line in self.rules), default=0))


class Work(NamedTuple):
    """What jobs do: GB each reads, GB of each file that is written, units of each."""

    reads: dict[Job, float]
    sizes: dict[str, float]
    amounts: dict[Job, Amounts]


SUMMED = ("jobs", "input_gb", "output_gb", "cpu_hours", "gpu_hours", "measured_jobs")


def read_config(folder: Path, configfiles: Sequence[str]) -> configuration.Config:
    """The resolved configuration of the files, later ones laid over earlier ones. Raises HomingError."""
    given: configuration.Config = {}
    for name in configfiles:
        path = folder / name
        if not path.is_file():
            raise HomingError(f"--configfile {name}: no such file")
        try:
            given = configuration.merge(given, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except yaml.YAMLError as error:
            raise HomingError(f"--configfile {name}: no YAML ({str(error).splitlines()[0]})") from None
    return configuration.resolve(given)


def make_plan(request: Request) -> Plan:
    """Plan a run. Raises HomingError when the configuration is wrong or the dry run fails."""
    folder = request.folder
    facts = Facts(read_config(folder, request.configfiles), folder, request.photos)
    arguments = (folder, request.configfiles, request.profiles, request.targets)
    jobs = planned_jobs(*arguments)
    model = Model(request.gpu or _gpu(jobs), request.line_mbit)
    work = _work(jobs, facts)
    amounts, measured = work.amounts, Measured()
    if (folder / "results/benchmarks").is_dir():
        every = planned_jobs(*arguments, every=True)
        measured = Measured.read(folder, every, model, _work_then(every, facts))
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
        advice=[line for job in jobs for line in _waiting(job, model.parts(job, amounts[job]))],
        device=model.gpu if any(job.gpus for job in jobs) else "cpu",
        jobs=jobs,
        seconds=seconds,
    )


def _gpu(jobs: Sequence[Job]) -> str:
    """The kind of GPU that the profile asks for, else the slowest that rates are known for (the first)."""
    named = [str(job.resources["gpu_model"]).lower() for job in jobs if "gpu_model" in job.resources]
    return next((name for name in named if name in DEVICES), DEVICES[0])


def _work(jobs: Sequence[Job], facts: Facts) -> Work:
    """The work of jobs that are in order."""
    work, seen = Work({}, {}, {}), set()
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
    """Sizes of what is read; a raw file that is only linked to takes no disk, but is read in full."""
    found = dict(read_gb)
    for path in read_gb:
        parts = path.split("/")
        if path.startswith("results/raw/") and "manifests" not in parts and len(parts) == 5 and not read_gb[path]:
            found[path] = facts.raw_gb("/".join(parts[2:4]), parts[4]) or 0.0
    return found


def _compiled() -> bool:
    """Whether numba's compiled functions are kept from an earlier run of this checkout."""
    return any((SOURCE / "homing/labels/__pycache__").glob("*.nbi"))


def _work_then(jobs: Sequence[Job], facts: Facts) -> dict[Job, Amounts]:
    """The units of finished jobs under the configuration they ran with, as far as their run's provenance tells it."""
    found = _work(jobs, replace(facts, unknowns={}, unsized=[])).amounts
    for run in {job.wildcards["run"] for job in jobs if "run" in job.wildcards}:
        path = facts.folder / f"results/runs/{run}/provenance.json"
        if path.is_file() and "config" in (provenance := read_json(path)):
            config = configuration.resolve(provenance["config"] | {"mirror": facts.config["mirror"]})
            then = Facts(config, facts.folder, facts.told)
            own = {job for job in jobs if job.wildcards.get("run") == run}
            found |= {job: units for job, units in _work(jobs, then).amounts.items() if job in own}
    return found


def _seconds(job: Job, amounts: Amounts, model: Model, measured: Measured) -> float:
    """A job's own measured time, scaled where its work has changed; else the shipped rate or this machine's own."""
    expected = model.seconds(job, amounts)
    if job.benchmark in measured.seconds:
        return measured.seconds[job.benchmark] * expected / measured.expected[job.benchmark]
    return expected * measured.factors.get(model.work(job, amounts), 1.0)


def _chain(
    jobs: Sequence[Job], seconds: Mapping[Job, float], amounts: Mapping[Job, Amounts]
) -> tuple[list[str], float]:
    """Rules of the longest path and its seconds. All downloads share one line: each is there when the last one is."""
    maker, best, before = producers(jobs), {}, {}
    line = sum(seconds[job] for job in jobs if "line_gb" in amounts[job])
    for job in jobs:
        needed = {maker[path] for path in job.inputs if path in maker}
        before[job] = max(needed, key=best.__getitem__, default=None)
        best[job] = (line if "line_gb" in amounts[job] else seconds[job]) + (best[before[job]] if needed else 0)
    last, chain = max(jobs, key=best.__getitem__, default=None), []
    step = last
    while step:
        chain.insert(0, step.rule)
        step = before[step]
    return chain, best.get(last, 0.0)


def _peak_gb(jobs: Sequence[Job], sizes: Mapping[str, float]) -> float:
    """Most disk at a time beyond what is there: temporary files go when their last reader is done."""
    readers = {path: max((n for n, job in enumerate(jobs) if path in job.inputs), default=None) for path in sizes}
    here = peak = 0.0
    for number, job in enumerate(jobs):
        here += _written_gb(job, sizes)
        peak = max(peak, here)
        done = [path for path, last in readers.items() if last == number and is_temporary(path)]
        here -= sum(sizes[path] for path in done if "/import/part-" not in path)
    return peak


def _written_gb(job: Job, sizes: Mapping[str, float]) -> float:
    """What a job adds on disk: the shards of import_photos are hard links to those of its parts."""
    linked = job.rule == "import_photos"
    return sum(sizes[path] for path in job.outputs if not (linked and path.endswith("/shards")))


def _lines(work: Work, seconds: Mapping[Job, float], measured: Measured) -> list[Line]:
    """One line per rule, in the order of the jobs; rules without a script (`all`) only count."""
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


def _waiting(job: Job, parts: Mapping[str, float]) -> list[str]:
    """Where decoding photos takes longer than the GPUs need for them."""
    if not job.gpus or parts.get("decoded_gb", 0) < 1.2 * parts.get("gflop", 0):
        return []
    cores = math.ceil(job.threads * parts["decoded_gb"] / parts["gflop"])
    cure = f"profile: set-threads: {job.rule}: {cores}"
    return [f"{job.rule}: {job.threads} threads decode more slowly than its GPUs compute; {cure}"]


def _unknown_sizes(facts: Facts) -> dict[str, str]:
    names = facts.unsized
    return {f"size of {len(names)} raw files": ", ".join(names[:3]) + ", ..." * (len(names) > 3)} if names else {}


def _unknown_rates(jobs: Sequence[Job], amounts: Mapping[Job, Amounts], model: Model) -> dict[str, str]:
    """Sources of the rates that a twentieth of the time hangs on and that Homing did not measure itself."""
    spent: dict[tuple[str, str, bool], float] = {}
    for job in jobs:
        for unit, part in model.parts(job, amounts[job]).items():
            spent[job.rule, unit, job.gpus > 0] = spent.get((job.rule, unit, job.gpus > 0), 0.0) + part
    found = {}
    for (rule, unit, on_gpu), part in sorted(spent.items(), key=lambda item: -item[1]):
        devices = (model.gpu if on_gpu and unit == "gflop" else "cpu", "line")
        rate = next((one for one in shipped().get(rule, []) if one.unit == unit and one.device in devices), None)
        large = part > sum(spent.values()) / 20
        if rate and large and not rate.source.startswith(OWN):
            found[f"rate of {rule} per {unit} ({rate.device})"] = rate.source
    return found
