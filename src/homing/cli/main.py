"""`homing`: what a finished run is used with."""

import argparse
import os
import sys
from collections.abc import Sequence

from homing import __version__
from homing.cli.doctor import add_arguments as add_doctor_arguments
from homing.cli.evaluate import add_arguments as add_evaluate_arguments
from homing.cli.init import add_arguments as add_init_arguments
from homing.cli.plan import add_arguments as add_plan_arguments
from homing.errors import HomingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Errors of the user's input are one line on stderr."""
    parser = argparse.ArgumentParser(prog="homing", description="Photo geolocation with models trained by Homing.")
    parser.add_argument("--version", action="version", version=f"homing {__version__}")
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
    doctor = commands.add_parser("doctor", help="what is wrong with a machine, a configuration, a profile")
    add_doctor_arguments(doctor)
    doctor.set_defaults(run=_doctor)
    init = commands.add_parser("init", help="write a configuration and a profile of your own")
    add_init_arguments(init)
    init.set_defaults(run=_init)
    plan = commands.add_parser("plan", help="what a run will take: jobs, disk, hours")
    add_plan_arguments(plan)
    plan.set_defaults(run=_plan)
    completion = commands.add_parser("completion", help="completion of these commands for a shell")
    completion.description = 'Print it: eval "$(homing completion bash)", or homing completion fish | source'
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    completion.set_defaults(run=_completion)
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may follow
        import argcomplete

        argcomplete.autocomplete(parser)
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


def _doctor(options: argparse.Namespace) -> int:
    from homing.cli.doctor import doctor

    return doctor(options)


def _init(options: argparse.Namespace) -> int:
    from homing.cli.init import init

    return init(options)


def _completion(options: argparse.Namespace) -> int:
    import argcomplete

    print(argcomplete.shellcode(["homing"], shell=options.shell))
    return 0
