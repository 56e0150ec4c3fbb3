"""`homing init`: a few questions, then a configuration and a profile of one's own."""

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
    from homing.setup.look import Understood
    from homing.setup.write import Answers


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Write config/<name>.yaml and profiles/<name>/profile.yaml, commented and checked by a dry run. On a terminal, "
        "what is not given is asked; --yes takes the defaults instead."
    )
    add = command.add_argument
    add("--dataset", choices=["mp16", "osv5m", "osv_mini", "mine", "demo"], help="mine: photos of your own")
    add("--photos", type=Path, metavar="PATH", help="mine: folder, tar or zip of the photos")
    add("--table", type=Path, metavar="FILE", help="mine: CSV or Parquet; without one, places are read from EXIF")
    add("--column", action="append", default=[], metavar="OURS=THEIRS", help="mine: a column we would not recognise")
    add("--gpus", type=int, metavar="N", help="GPUs of a training; 0: on the CPU")
    add("--slurm", action=argparse.BooleanOptionalAction, help="run jobs on a SLURM cluster, or on this machine")
    add("--partition", metavar="NAME", help="SLURM: for most jobs")
    add("--gpu-partition", metavar="NAME", help="SLURM: for trainings (as --partition)")
    add("--account", metavar="NAME", help="SLURM: where the cluster wants one")
    add("--name", help="of the run and its two files (my_<data set>)")
    add("--output", type=Path, default=Path(), metavar="DIR", help="folder to write to and run in (here)")
    add("--overwrite", action="store_true", help="replace files of that name")
    add("--yes", action="store_true", help="ask nothing: no SLURM and no GPU where they are not given")


def init(options: argparse.Namespace) -> int:
    """Ask, look, write, and say what comes next."""
    from homing.setup.look import understand
    from homing.setup.write import write

    answers = complete(options, _asked if sys.stdin.isatty() and not options.yes else None)
    understood = understand(answers.table, answers.photos, answers.columns) if answers.table else None
    if understood:
        print(as_understood(understood))
    elif answers.dataset == "mine" and not answers.photos.is_dir():
        raise HomingError(f"--photos {answers.photos}: no such folder; places are read from the EXIF of its photos")
    elif answers.dataset == "mine":
        print("no --table: places are read from the EXIF of the photos\n")
    files, jobs = write(answers, understood, options.output, options.overwrite)
    print(f"wrote {files[0]} and {files[1]}: a dry run plans {jobs} jobs\n\nnext:")
    print("\n".join(f"  {line}" for line in next_commands(answers.name, options.output)))
    return 0


def _asked(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        raise HomingError("no answer; nothing was written") from None


def complete(options: argparse.Namespace, ask: Callable[[str], str] | None) -> "Answers":
    """All answers, those that are missing asked for. Raises HomingError naming all that are missing at once."""
    from homing.setup.write import DATASETS, Answers

    given = vars(options) | {"missing": []}
    _fill(given, "dataset", ask, f"data set ({', '.join(DATASETS)})", str)
    if given["dataset"] == "mine":
        _fill_own(given, ask)
    _fill(given, "gpus", ask, "GPUs of a training (0: CPU)", int, default=0 if options.yes else None)
    _fill(given, "slurm", ask, "SLURM (yes, no)", _is_yes, default=False if options.yes else None)
    if given["slurm"]:
        _fill(given, "partition", ask, "partition for most jobs", str)
        if given["gpus"]:
            _fill(given, "gpu_partition", ask, "partition with GPUs (empty: the same)", str, optional=True)
        _fill(given, "account", ask, "account (empty: none)", str, optional=True)
    if given["missing"]:
        raise HomingError(f"missing: {', '.join(given['missing'])}")
    name = given["name"] or f"my_{given['dataset']}"
    return Answers(
        **{key: given[key] for key in CHOSEN}, name=_checked(given, name, DATASETS), columns=_columns(options)
    )


def _fill_own(given: dict[str, Any], ask: Callable[[str], str] | None) -> None:
    """Where one's own photos are, and the table that says where they were taken, unless they know it themselves."""
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
    """Set a missing answer by its default or a question; note its flag where there is nobody to ask."""
    if given[key] is not None:
        return
    if default is not None:
        given[key] = default
    elif ask is None:
        given["missing"] += [] if optional else [_flag(key)]
    else:
        text = ask(f"{question}: ").strip()
        if not text and not optional:
            raise HomingError(f"{_flag(key)}: an answer is needed")
        try:
            given[key] = kind(text) if text else None
        except ValueError:
            raise HomingError(f"{_flag(key)} {text}: not understood; {question}") from None


def _flag(key: str) -> str:
    return {"slurm": "--slurm or --no-slurm"}.get(key, f"--{key.replace('_', '-')}")


def _is_yes(text: str) -> bool:
    if text.lower() not in ("y", "yes", "n", "no"):
        raise ValueError(text)
    return text.lower().startswith("y")


def _checked(given: dict[str, Any], name: str, datasets: tuple[str, ...]) -> str:
    if given["dataset"] not in datasets:
        raise HomingError(f"--dataset {given['dataset']}: one of {', '.join(datasets)}")
    if given["gpus"] < 0:
        raise HomingError(f"--gpus {given['gpus']}: 0 or more")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise HomingError(f"--name {name}: letters, digits and _")
    return name


def _columns(options: argparse.Namespace) -> dict[str, str]:
    pairs = [text.partition("=") for text in options.column]
    for ours, equals, theirs in pairs:
        if not (ours and equals and theirs):
            raise HomingError(f"--column {ours}{equals}{theirs}: write it as ours=theirs, e.g. latitude=y_wgs84")
    return {ours: theirs for ours, _, theirs in pairs}


def as_understood(found: "Understood") -> str:
    """The rows as they were understood, and what is missing."""
    columns = [name for name in found.names if name in found.shown[0]]
    cells = [columns, *([row[name] for name in columns] for row in found.shown)]
    widths = [max(len(str(row[number])) for row in cells) for number in range(len(columns))]
    lines = ["  ".join(map(str.ljust, map(str, row), widths)).rstrip() for row in cells]
    if found.swapped:
        lines.append("latitude and longitude are swapped in the table: they are read the right way round")
    first = f", first {found.missing[0]}" if found.missing else ""
    lines.append(f"of {found.sought} photos looked for {len(found.missing)} are missing{first}")
    return "\n".join(["understood as:", *(f"  {line}" for line in lines), ""])


def next_commands(name: str, output: Path) -> list[str]:
    """Three commands, to be typed in order."""
    files = f"--configfile config/{name}.yaml --profile profiles/{name}"
    go = [] if output.resolve() == Path.cwd() else [f"cd {shlex.quote(str(output))}"]
    there = (output / "Snakefile").is_file()
    workflow = "" if there else f"--snakefile {shlex.quote(str(ROOT / 'Snakefile'))} "
    return [*go, f"homing doctor {files}", f"homing plan {files}", f"snakemake {workflow}{files}"]
