"""Write a configuration and a profile from a user's answers, after a dry run has accepted them."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homing.config.reference import flow
from homing.doctor.checks import ask
from homing.errors import HomingError
from homing.files import atomic_path
from homing.plan.jobs import planned_jobs
from homing.setup.look import TableLayout
from homing.shipped import ROOT

PRESETS = {"mp16": "pigeotto", "osv5m": "osv5m", "osv_mini": "osv_mini", "mine": "my_photos"}
DATASETS = (*PRESETS, "demo")
CORES_PER_GPU, MEMORY_MB_PER_GPU = 8, 60_000
# (photos, min_photos, max_photos): from that many photos on, the limits of a cell; PIGEON's, in between, PIGEOTTO's.
CELL_LIMITS = ((0, 30, 60), (50_000, 100, 300), (1_000_000, 1000, 2000))


@dataclass(frozen=True)
class Answers:
    """A user's answers. Only `mine` has `photos` and perhaps `table`; only SLURM has partitions and an account."""

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


def write(answers: Answers, layout: TableLayout | None, output: Path, overwrite: bool) -> tuple[list[Path], int]:
    """Write config/<name>.yaml and profiles/<name>/profile.yaml below `output`. Return them and the number of jobs.

    Raises HomingError, with nothing written, if one of them exists and is not to be overwritten, or if the dry run
    fails.
    """
    files = {
        output / f"config/{answers.name}.yaml": configuration_text(answers, layout, output),
        output / f"profiles/{answers.name}/profile.yaml": profile_text(answers),
    }
    existing = [str(path) for path in files if path.exists()]
    if existing and not overwrite:
        raise HomingError(f"{' and '.join(existing)}: exists already; choose another --name, or add --overwrite")
    jobs = _dry_run(list(files.values()), output)
    for path, text in files.items():
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return list(files), jobs


def _dry_run(texts: list[str], output: Path) -> int:
    """Return the number of jobs that Snakemake plans with the two texts, as files of a temporary folder."""
    output.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="homing-init-"))
    try:
        (scratch / "config.yaml").write_text(texts[0], encoding="utf-8")
        (scratch / "profile").mkdir()
        (scratch / "profile/profile.yaml").write_text(texts[1], encoding="utf-8")
        return len(planned_jobs(output, [str(scratch / "config.yaml")], [str(scratch / "profile")], every=True))
    finally:
        shutil.rmtree(scratch)


def configuration_text(answers: Answers, layout: TableLayout | None, output: Path) -> str:
    """Return the preset of the data set, comments kept, with name of the run, GPUs and the user's photos."""
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
    return _with_own_photos(text, answers, layout, output) if answers.dataset == "mine" else text


def _with_own_photos(text: str, answers: Answers, layout: TableLayout | None, output: Path) -> str:
    """Set the data set `mine`, with a comment on its columns, and limits of the cells that suit its size."""
    dataset, rows = flow(_own_dataset(answers, layout, output)), layout.rows if layout else 0
    text = text.replace("datasets:\n", _comment(layout) + "datasets:\n", 1)
    text = re.sub(r"^  mine: .*$", lambda _: f"  mine: {dataset}", text, count=1, flags=re.M)
    least, most = next((low, high) for photos, low, high in reversed(CELL_LIMITS) if rows >= photos)
    limits = f"geocells: {{min_photos: {least}, max_photos: {most}}}"
    return re.sub(r"^geocells: .*$", limits, text, count=1, flags=re.M)


def _demo_gpus(gpus: int) -> str:
    if not gpus:
        return ""
    keys = f"{{mixed_precision: bf16, processes_per_node: {gpus}, gpus_per_node: {gpus}}}"
    return f"pretrain: {keys}\nembed: {{mixed_precision: bf16}}\nfinetune: {keys}\n"


def _with_gpus(text: str, gpus: int) -> str:
    """Set one process per GPU, or one process on the CPU, without bf16."""
    text = re.sub(r"\bprocesses_per_node: \d+", f"processes_per_node: {max(1, gpus)}", text)
    text = re.sub(r"\bgpus_per_node: \d+", f"gpus_per_node: {gpus}", text)
    return text if gpus else re.sub(r"\bmixed_precision: bf16", 'mixed_precision: "no"', text)


def _comment(layout: TableLayout | None) -> str:
    """Return a comment that says how the table is read."""
    if not layout:
        return "# Places are read from the EXIF of the photos.\n"
    names = ", ".join(f"{ours} = {theirs}" for ours, theirs in layout.names.items())
    swapped = "; latitude and longitude are swapped in the table" if layout.swapped else ""
    return f"# The columns of the table are read as {names}{swapped}.\n"


def _own_dataset(answers: Answers, layout: TableLayout | None, output: Path) -> dict[str, object]:
    """Return the keys of the data set `mine`; those with their default are left out."""
    if answers.photos is None:
        raise HomingError("missing: --photos")
    images = _path(answers.photos, output)
    if answers.table is None or layout is None:
        return {"adapter": "exif_folder", "images": images}
    dataset = {"adapter": "csv_folder", "table": _path(answers.table, output), "images": images}
    optional = {"columns": layout.columns, "views": layout.views, "match": layout.match}
    usual = {"columns": {}, "views": 1, "match": "path"}
    return dataset | {key: value for key, value in optional.items() if value != usual[key]}


def _path(path: Path, output: Path) -> str:
    """Return the path relative to the folder that Snakemake runs in, if it lies below it."""
    path, output = path.resolve(), output.resolve()
    return str(path.relative_to(output)) if path.is_relative_to(output) else str(path)


def profile_text(answers: Answers) -> str:
    """Return the shipped profile with the names of the site and the resources of the training jobs."""
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
    """Return resources and threads of the three rules that run the encoder."""
    partition = answers.gpu_partition or answers.partition
    gpus, rules = answers.gpus, {"pretrain_clip": 2880, "embed_photos": 720, "finetune_geolocator": 1440}
    lines, threads = [], []
    for rule, minutes in rules.items():
        count = min(1, gpus) if rule == "embed_photos" else gpus
        gpu_keys = f"nodes: 1, gpu: {count}, " if count else ""
        memory = MEMORY_MB_PER_GPU * max(1, count) if gpus else 8000
        lines.append(f"  {rule}: {{slurm_partition: {partition}, {gpu_keys}mem_mb: {memory}, runtime: {minutes}}}\n")
        threads.append(f"  {rule}: {CORES_PER_GPU * max(1, count)}\n")
    return (
        "# Training jobs. SLURM never starts a job with a runtime above the limit of its partition; a retry resumes.\n"
        f"set-resources:\n{''.join(lines)}"
        f"# The CPU decodes the photos.\nset-threads:\n{''.join(threads)}"
    )
