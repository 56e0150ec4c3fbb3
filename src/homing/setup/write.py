"""The configuration and the profile that answers make, checked by a dry run before they are there."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from homing.doctor.checks import ask
from homing.errors import HomingError
from homing.files import atomic_path
from homing.plan.jobs import planned_jobs
from homing.setup.look import Understood
from homing.shipped import ROOT

PRESETS = {"mp16": "pigeotto", "osv5m": "osv5m", "osv_mini": "osv_mini", "mine": "my_photos"}
DATASETS = (*PRESETS, "demo")
CORES_PER_GPU, MEMORY_MB_PER_GPU = 8, 60_000
# Photos from which on cells hold more of them, and how many: PIGEON's, between, PIGEOTTO's.
CELLS = ((0, 30, 60), (50_000, 100, 300), (1_000_000, 1000, 2000))


@dataclass(frozen=True)
class Answers:
    """What was asked; `photos` and `table` for `mine` alone, `partition` and what follows for SLURM alone."""

    dataset: str
    name: str
    gpus: int
    slurm: bool
    photos: Path | None = None
    table: Path | None = None
    partition: str | None = None
    gpu_partition: str | None = None
    account: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


def write(answers: Answers, understood: Understood | None, output: Path, overwrite: bool) -> tuple[list[Path], int]:
    """Write config/<name>.yaml and profiles/<name>/profile.yaml below `output`; the files, and the jobs of a dry run.

    Raises HomingError, with nothing written, when one of them is there and is not to be overwritten, or when the dry
    run refuses them.
    """
    files = {
        output / f"config/{answers.name}.yaml": configuration_text(answers, understood, output),
        output / f"profiles/{answers.name}/profile.yaml": profile_text(answers),
    }
    there = [str(path) for path in files if path.exists()]
    if there and not overwrite:
        raise HomingError(f"{' and '.join(there)}: already there; take another --name, or say --overwrite")
    jobs = _dry_run(list(files.values()), output)
    for path, text in files.items():
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return list(files), jobs


def _dry_run(texts: list[str], output: Path) -> int:
    """How many jobs Snakemake plans with the two files, which are nowhere yet."""
    output.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="homing-init-"))
    try:
        (scratch / "config.yaml").write_text(texts[0], encoding="utf-8")
        (scratch / "profile").mkdir()
        (scratch / "profile/profile.yaml").write_text(texts[1], encoding="utf-8")
        return len(planned_jobs(output, [str(scratch / "config.yaml")], [str(scratch / "profile")], every=True))
    finally:
        shutil.rmtree(scratch)


def configuration_text(answers: Answers, understood: Understood | None, output: Path) -> str:
    """The preset of the data set with the run's name, the user's photos and the GPUs in it, its comments kept."""
    if answers.dataset == "demo":
        return (
            f"# The demo: a generated toy planet. Every key and its default is in config/config.yaml.\n"
            f"run: {answers.name}\n{_demo_gpus(answers.gpus)}"
        )
    text = (ROOT / f"config/{PRESETS[answers.dataset]}.yaml").read_text(encoding="utf-8")
    text = re.sub(
        r"^#   snakemake .*$",
        f"#   snakemake --profile profiles/{answers.name} --configfile config/{answers.name}.yaml",
        text, count=1, flags=re.M,
    )  # fmt: skip
    text = re.sub(r"^run: .*$", f"run: {answers.name}", text, count=1, flags=re.M)
    text = _with_gpus(text, answers.gpus)
    if answers.dataset == "mine":
        text = text.replace("datasets:\n", _told(understood) + "datasets:\n", 1)
        text = re.sub(r"^  mine: .*$", lambda _: f"  mine: {_flow(_own_dataset(answers, understood, output))}",
                      text, count=1, flags=re.M)  # fmt: skip
        least, most = next((low, high) for begin, low, high in reversed(CELLS) if _rows(understood) >= begin)
        text = re.sub(r"^geocells: .*$", f"geocells: {{min_photos: {least}, max_photos: {most}}}", text, count=1,
                      flags=re.M)  # fmt: skip
    return text


def _rows(understood: Understood | None) -> int:
    return understood.rows if understood else 0


def _demo_gpus(gpus: int) -> str:
    if not gpus:
        return ""
    keys = f"{{mixed_precision: bf16, processes_per_node: {gpus}, gpus_per_node: {gpus}}}"
    return f"pretrain: {keys}\nembed: {{mixed_precision: bf16}}\nfinetune: {keys}\n"


def _with_gpus(text: str, gpus: int) -> str:
    """Processes are one per GPU, or one on the CPU, which has no use for bf16."""
    text = re.sub(r"\bprocesses_per_node: \d+", f"processes_per_node: {max(1, gpus)}", text)
    text = re.sub(r"\bgpus_per_node: \d+", f"gpus_per_node: {gpus}", text)
    return text if gpus else re.sub(r"\bmixed_precision: bf16", 'mixed_precision: "no"', text)


def _told(understood: Understood | None) -> str:
    """What was understood of the table, as a comment."""
    if not understood:
        return "# Places are read from the photos' own EXIF.\n"
    names = ", ".join(f"{ours} = {theirs}" for ours, theirs in understood.names.items())
    swapped = ", latitude and longitude being swapped there" if understood.swapped else ""
    return f"# The table's columns were understood as {names}{swapped}.\n"


def _own_dataset(answers: Answers, understood: Understood | None, output: Path) -> dict[str, object]:
    if not understood:
        return {"adapter": "exif_folder", "images": _path(answers.photos, output)}
    dataset = {"adapter": "csv_folder", "table": _path(answers.table, output), "images": _path(answers.photos, output)}
    optional = {"columns": understood.columns, "views": understood.views, "match": understood.match}
    usual = {"columns": {}, "views": 1, "match": "path"}
    return dataset | {key: value for key, value in optional.items() if value != usual[key]}


def _path(path: Path, output: Path) -> str:
    """Relative where it lies below the folder that Snakemake runs in."""
    path, output = path.resolve(), output.resolve()
    return str(path.relative_to(output)) if path.is_relative_to(output) else str(path)


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True).strip()


def profile_text(answers: Answers) -> str:
    """The shipped profile with the site's names and what a training asks for."""
    text = (ROOT / f"profiles/{'slurm' if answers.slurm else 'local'}/profile.yaml").read_text(encoding="utf-8")
    text = re.sub(r"--profile profiles/\w+", f"--profile profiles/{answers.name}", text)
    if not answers.slurm:
        return text
    text = text.replace("slurm_partition: cpu", f"slurm_partition: {answers.partition}")
    if answers.account:
        line = "  # slurm_account: my_project       # and remove slurm-no-account below\n"
        text = text.replace(line, f"  slurm_account: {answers.account}\n").replace("slurm-no-account: true\n", "")
    accounting = ask("sacct", "--noheader", "--format=JobID")
    if accounting and accounting.good:
        text = text.replace("slurm-status-command: squeue", "slurm-status-command: sacct")
    return re.sub(r"^set-resources:\n(  .*\n)+", _training(answers), text, count=1, flags=re.M)


def _training(answers: Answers) -> str:
    """Resources and threads of the three rules that compute with the encoder."""
    partition = answers.gpu_partition or answers.partition
    gpus, rules = answers.gpus, {"pretrain_clip": 2880, "embed_photos": 720, "finetune_geolocator": 1440}
    lines, threads = [], []
    for rule, minutes in rules.items():
        count = min(1, gpus) if rule == "embed_photos" else gpus
        asked = f"nodes: 1, gpu: {count}, " if count else ""
        memory = MEMORY_MB_PER_GPU * max(1, count) if gpus else 8000
        lines.append(f"  {rule}: {{slurm_partition: {partition}, {asked}mem_mb: {memory}, runtime: {minutes}}}\n")
        threads.append(f"  {rule}: {CORES_PER_GPU * max(1, count)}\n")
    return (
        "# Trainings. Minutes above the partition's limit would wait for ever; a retry goes on where a job ended.\n"
        f"set-resources:\n{''.join(lines)}"
        f"# Photos are decoded by the CPU.\nset-threads:\n{''.join(threads)}"
    )
