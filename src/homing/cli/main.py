"""`homing`: what a finished run is used with."""

import argparse
import os
import sys
from collections.abc import Sequence

from homing.cli.compare import add_arguments as add_compare_arguments
from homing.cli.evaluate import add_arguments as add_evaluate_arguments
from homing.cli.export import add_arguments as add_export_arguments
from homing.cli.predict import add_arguments as add_predict_arguments
from homing.errors import HomingError

NOBODY_READS = 141  # 128 + SIGPIPE, as the shell says it of other programs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Errors of the user's input are one line on stderr."""
    parser = argparse.ArgumentParser(prog="homing", description="Photo geolocation with models trained by Homing.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser("predict", help="where photos were taken")
    add_predict_arguments(predict)
    predict.set_defaults(run=_predict)
    evaluate = commands.add_parser("evaluate", help="score a file of predictions against the truth")
    add_evaluate_arguments(evaluate)
    evaluate.set_defaults(run=_evaluate)
    export = commands.add_parser("export", help="hand a model on: Hugging Face layout, ONNX, without photos")
    add_export_arguments(export)
    export.set_defaults(run=_export)
    compare = commands.add_parser("compare", help="finished runs side by side")
    add_compare_arguments(compare)
    compare.set_defaults(run=_compare)
    options = parser.parse_args(arguments)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except HomingError as error:
        print(f"homing: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has seen enough; Python must not try again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS


def _predict(options: argparse.Namespace) -> int:
    from homing.cli.predict import predict

    return predict(options)


def _evaluate(options: argparse.Namespace) -> int:
    from homing.cli.evaluate import evaluate

    return evaluate(options)


def _export(options: argparse.Namespace) -> int:
    from homing.cli.export import export

    return export(options)


def _compare(options: argparse.Namespace) -> int:
    from homing.cli.compare import compare

    return compare(options)
