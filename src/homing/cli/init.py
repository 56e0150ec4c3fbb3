"""`homing init`: ask a few questions, then write a configuration and a profile."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homing.errors import HomingError
from homing.shipped import ROOT

if TYPE_CHECKING:
    from homing.setup.look import TableLayout
    from homing.setup.write import Answers


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Write config/<name>.yaml and profiles/<name>/profile.yaml, with comments, and check them by a dry run. On a "
        "terminal, missing answers are asked for; --yes takes the defaults instead."
    )
    add = command.add_argument
    add("--dataset", choices=["mp16", "osv5m", "osv_mini", "mine", "demo"], help="mine: your own photos")
    add("--photos", type=Path, metavar="PATH", help="mine: folder, tar or zip with the photos")
    add("--table", type=Path, metavar="FILE", help="mine: CSV or Parquet (default: places are read from EXIF)")
    add("--column", action="append", default=[], metavar="OURS=THEIRS", help="mine: a column under another name")
    add("--gpus", type=int, metavar="N", help="GPUs of a training job; 0 to train on the CPU")
    add("--slurm", action=argparse.BooleanOptionalAction, help="run jobs on a SLURM cluster, or on this machine")
    add("--partition", metavar="NAME", help="SLURM: partition for most jobs")
    add("--gpu-partition", metavar="NAME", help="SLURM: partition for training jobs (default: --partition)")
    add("--account", metavar="NAME", help="SLURM: account, if the cluster needs one")
    add("--name", help="name of the run and of the two files (default: my_<data set>)")
    add("--output", type=Path, default=Path(), metavar="DIR", help="folder to write to and run in (default: here)")
    add("--overwrite", action="store_true", help="replace existing files")
    add("--yes", action="store_true", help="ask nothing: without SLURM and GPUs unless they are given")


def init(options: argparse.Namespace) -> int:
    """Ask for missing answers, inspect the table, write the files and print the next commands."""
    from homing.setup.look import inspect_table
    from homing.setup.write import write

    answers = complete(options, _ask_on_terminal if sys.stdin.isatty() and not options.yes else None)
    layout = None
    if answers.photos and answers.table:
        layout = inspect_table(answers.table, answers.photos, answers.columns)
        print(as_text(layout))
    elif answers.photos and not answers.photos.is_dir():
        raise HomingError(f"--photos {answers.photos}: no such folder; places are read from the EXIF of its photos")
    elif answers.photos:
        print("no --table: places are read from the EXIF of the photos\n")
    files, jobs = write(answers, layout, options.output, options.overwrite)
    print(f"wrote {files[0]} and {files[1]}: a dry run plans {jobs} jobs\n\nnext:")
    print("\n".join(f"  {line}" for line in next_commands(answers.name, options.output)))
    return 0


def _ask_on_terminal(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        raise HomingError("no answer; nothing was written") from None


def complete(options: argparse.Namespace, ask: Callable[[str], str] | None) -> "Answers":
    """Return all answers; `ask` is called for missing ones. Raises HomingError naming all missing answers at once."""
    from homing.setup.write import DATASETS, Answers

    given = vars(options) | {"missing": []}
    _fill(given, "dataset", ask, f"data set ({', '.join(DATASETS)})", str)
    if given["dataset"] == "mine":
        _fill_own(given, ask)
    else:
        given |= {"photos": None, "table": None}
    _fill(given, "gpus", ask, "GPUs of a training job (0: CPU)", int, default=0 if options.yes else None)
    _fill(given, "slurm", ask, "SLURM (yes, no)", _is_yes, default=False if options.yes else None)
    if given["slurm"]:
        _fill(given, "partition", ask, "partition for most jobs", str)
        if given["gpus"]:
            _fill(given, "gpu_partition", ask, "partition with GPUs (empty: the same partition)", str, optional=True)
        _fill(given, "account", ask, "account (empty: none)", str, optional=True)
    if given["missing"]:
        raise HomingError(f"missing: {', '.join(given['missing'])}")
    name = given["name"] or f"my_{given['dataset']}"
    return Answers(
        **{key: given[key] for key in CHOSEN}, name=_checked(given, name, DATASETS), columns=_columns(options)
    )


def _fill_own(given: dict[str, Any], ask: Callable[[str], str] | None) -> None:
    """Fill in the paths of the user's photos and, unless places are read from EXIF, of their table."""
    if given["photos"] is None:
        _fill(given, "table", ask, "CSV with latitude, longitude, file (empty: read the photos' EXIF)", Path, True)
    _fill(given, "photos", ask, "folder, tar or zip of the photos", Path)


CHOSEN = ("dataset", "gpus", "slurm", "photos", "table", "partition", "gpu_partition", "account")


def _fill(
    given: dict[str, Any],
    key: str,
    ask: Callable[[str], str] | None,
    question: str,
    kind: Callable[[str], Any],
    optional: bool = False,
    default: Any = None,
) -> None:
    """Set a missing answer to its default, or ask for it; without a terminal, note its flag as missing."""
    if given[key] is not None:
        return
    if default is not None:
        given[key] = default
    elif ask is None:
        given["missing"] += [] if optional else [_flag(key)]
    else:
        text = ask(f"{question}: ").strip()
        if not text and not optional:
            raise HomingError(f"{_flag(key)}: an answer is required")
        try:
            given[key] = kind(text) if text else None
        except ValueError:
            raise HomingError(f"{_flag(key)} {text}: invalid answer to: {question}") from None


def _flag(key: str) -> str:
    return {"slurm": "--slurm or --no-slurm"}.get(key, f"--{key.replace('_', '-')}")


def _is_yes(text: str) -> bool:
    if text.lower() not in ("y", "yes", "n", "no"):
        raise ValueError(text)
    return text.lower().startswith("y")


def _checked(given: dict[str, Any], name: str, datasets: tuple[str, ...]) -> str:
    if given["dataset"] not in datasets:
        raise HomingError(f"--dataset {given['dataset']}: must be one of {', '.join(datasets)}")
    if given["gpus"] < 0:
        raise HomingError(f"--gpus {given['gpus']}: must be 0 or more")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise HomingError(f"--name {name}: use letters, digits and _")
    return name


def _columns(options: argparse.Namespace) -> dict[str, str]:
    pairs = [text.partition("=") for text in options.column]
    for ours, equals, theirs in pairs:
        if not (ours and equals and theirs):
            raise HomingError(f"--column {ours}{equals}{theirs}: write it as OURS=THEIRS, e.g. latitude=y_wgs84")
    return {ours: theirs for ours, _, theirs in pairs}


def as_text(layout: "TableLayout") -> str:
    """Format the first rows under our column names, and the number of missing photos."""
    columns = [name for name in layout.names if name in layout.shown[0]]
    cells = [columns, *([row[name] for name in columns] for row in layout.shown)]
    widths = [max(len(str(row[number])) for row in cells) for number in range(len(columns))]
    lines = ["  ".join(map(str.ljust, map(str, row), widths)).rstrip() for row in cells]
    if layout.swapped:
        lines.append("latitude and longitude are swapped in the table; they are read the right way round")
    first = f", first {layout.missing[0]}" if layout.missing else ""
    lines.append(f"{len(layout.missing)} of the first {layout.checked} photos are missing{first}")
    return "\n".join(["the table is read as:", *(f"  {line}" for line in lines), ""])


def next_commands(name: str, output: Path) -> list[str]:
    """Return the commands to run next, in order."""
    files = f"--configfile config/{name}.yaml --profile profiles/{name}"
    change = [] if output.resolve() == Path.cwd() else [f"cd {shlex.quote(str(output))}"]
    there = (output / "Snakefile").is_file()
    workflow = "" if there else f"--snakefile {shlex.quote(str(ROOT / 'Snakefile'))} "
    return [*change, f"homing doctor {files}", f"homing plan {files}", f"snakemake {workflow}{files}"]
