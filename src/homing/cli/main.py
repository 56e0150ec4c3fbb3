"""`homing`: what a finished run is used with."""

import argparse
import sys
from collections.abc import Sequence

from homing.cli.evaluate import add_arguments as add_evaluate_arguments
from homing.cli.plan import add_arguments as add_plan_arguments
from homing.errors import HomingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Errors of the user's input are one line on stderr."""
    parser = argparse.ArgumentParser(prog="homing", description="Photo geolocation with models trained by Homing.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser("predict", help="where photos were taken")
    predict.add_argument("photos", nargs="+", metavar="PHOTO", help="image files, or folders of them")
    predict.add_argument("--model", required=True, metavar="DIR", help="results/runs/<run>/model of a finished run")
    predict.add_argument("--output", action="append", default=[], metavar="FILE",
                         help="write .csv, .parquet, .geojson or .html (an offline map); may be repeated")  # fmt: skip
    predict.add_argument("--top", type=int, default=5, metavar="N", help="answers per photo (5)")
    predict.add_argument("--views", type=int, default=1, metavar="N",
                         help="so many photos in a row are views of one place (4 of a panorama)")  # fmt: skip
    predict.add_argument("--no-refine", action="store_true", help="answer with the middle of the geocells")
    predict.add_argument("--coarse", choices=["country", "region"], help="answer countries or regions, not places")
    predict.set_defaults(run=_predict)
    evaluate = commands.add_parser("evaluate", help="score a file of predictions against the truth")
    add_evaluate_arguments(evaluate)
    evaluate.set_defaults(run=_evaluate)
    plan = commands.add_parser("plan", help="what a run will take: jobs, disk, hours")
    add_plan_arguments(plan)
    plan.set_defaults(run=_plan)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except HomingError as error:
        print(f"homing: {error}", file=sys.stderr)
        return 2


def _predict(options: argparse.Namespace) -> int:
    from homing.cli.predict import predict

    return predict(options)


def _evaluate(options: argparse.Namespace) -> int:
    from homing.cli.evaluate import evaluate

    return evaluate(options)


def _plan(options: argparse.Namespace) -> int:
    from homing.cli.plan import plan

    return plan(options)
