"""`homing plan`: estimate jobs, disk and hours of a run before anything is downloaded."""

import argparse
import json
import re
from pathlib import Path

from homing.cli.workflow import add_workflow_arguments
from homing.errors import HomingError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Estimate the jobs, bytes, CPU and GPU time, disk and critical path of a run, from rates measured here "
        "(results/benchmarks), else from shipped rates. Nothing is downloaded or run."
    )
    add = command.add_argument
    add("targets", nargs="*", metavar="TARGET", help="rules or files, as for snakemake (default: all)")
    add_workflow_arguments(command)
    add("--photos", action="append", default=[], metavar="DATASET=N", help="size of a data set; may be repeated")
    add("--gpu", metavar="KIND", help="a100, h100 or h200 (default: gpu_model of the profile, else a100)")
    add("--line-mbit", type=float, default=100, metavar="N", help="download speed in Mbit/s (default: 100)")
    add("--json", action="store_true", help="print the whole plan as JSON")


def plan(options: argparse.Namespace) -> int:
    """Print the plan. Return the exit status."""
    from homing.plan.estimate import Request, make_plan
    from homing.plan.text import as_text

    if options.line_mbit <= 0:
        raise HomingError(f"--line-mbit {options.line_mbit}: must be more than 0")
    request = Request(
        folder=Path.cwd(),
        configfiles=options.configfile,
        profiles=options.profile,
        targets=options.targets,
        photos=dict(map(_count, options.photos)),
        gpu=options.gpu and options.gpu.lower(),
        line_mbit=options.line_mbit,
    )
    planned = make_plan(request)
    print(json.dumps(planned.as_json(), indent=1) if options.json else as_text(planned))
    return 0


def _count(text: str) -> tuple[str, int]:
    if not re.fullmatch(r"[a-z0-9_]+=[0-9]+", text):
        raise HomingError(f"--photos {text}: write it as DATASET=N, e.g. mine=12000")
    name, _, number = text.partition("=")
    return name, int(number)
