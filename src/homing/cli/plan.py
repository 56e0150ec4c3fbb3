"""`homing plan`: what a run will take, before anything is downloaded."""

import argparse
import json
import re
from pathlib import Path

from homing.errors import HomingError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What the command takes."""
    command.description = (
        "Jobs, bytes, CPU and GPU time, disk and the longest chain of a run, from the rates that were measured here "
        "(results/benchmarks) and else from shipped ones. Nothing is downloaded or run."
    )
    add = command.add_argument
    add("targets", nargs="*", metavar="TARGET", help="rules or files, as for snakemake (all)")
    add("--configfile", nargs="+", action="extend", default=[], metavar="FILE", help="later ones over earlier ones")
    add("--profile", action="append", default=[], metavar="P", help="folder, file or name; may be repeated (local)")
    add("--photos", action="append", default=[], metavar="DATASET=N", help="photos to plan with; may be repeated")
    add("--gpu", metavar="KIND", help="a100, h100 or h200 (the profile's gpu_model, else a100)")
    add("--line-mbit", type=float, default=100, metavar="N", help="speed of the line to the internet (100)")
    add("--json", action="store_true", help="everything, as JSON")


def plan(options: argparse.Namespace) -> int:
    """Plan and print."""
    from homing.plan.estimate import Request, make_plan
    from homing.plan.text import as_text

    if options.line_mbit <= 0:
        raise HomingError(f"--line-mbit {options.line_mbit}: more than 0")
    told = make_plan(
        Request(
            Path.cwd(),
            options.configfile,
            options.profile,
            options.targets,
            dict(map(_count, options.photos)),
            options.gpu and options.gpu.lower(),
            options.line_mbit,
        )
    )
    print(json.dumps(told.as_json(), indent=1) if options.json else as_text(told))
    return 0


def _count(text: str) -> tuple[str, int]:
    if not re.fullmatch(r"[a-z0-9_]+=[0-9]+", text):
        raise HomingError(f"--photos {text}: write it as data_set=number")
    name, _, number = text.partition("=")
    return name, int(number)
