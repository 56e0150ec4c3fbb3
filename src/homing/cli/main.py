"""The command line: one page per command, which adds its arguments and does its work."""

import argparse
import os
import sys
from collections.abc import Sequence

from homing import __version__
from homing.cli import compare, doctor, evaluate, export, init, plan, predict
from homing.errors import HomingError
from homing.jobs.workers import let_threads_sleep

NOBODY_READS = 141  # 128 + SIGPIPE, as the shell says it of other programs
# Each page is light: what a command needs is imported when it runs.
COMMANDS = {
    "predict": (predict, predict.predict, "where photos were taken"),
    "evaluate": (evaluate, evaluate.evaluate, "score a file of predictions against the truth"),
    "compare": (compare, compare.compare, "finished runs side by side"),
    "export": (export, export.export, "hand a model on: Hugging Face layout, ONNX, without photos"),
    "init": (init, init.init, "write a configuration and a profile of your own"),
    "doctor": (doctor, doctor.doctor, "what is wrong with a machine, a configuration, a profile"),
    "plan": (plan, plan.plan, "what a run will take: jobs, disk, hours"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Errors of the user's input are one line on stderr."""
    parser = command_line()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may follow
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    let_threads_sleep()
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


def command_line() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run` to what does its work."""
    parser = argparse.ArgumentParser(prog="homing", description="Photo geolocation with models trained by Homing.")
    parser.add_argument("--version", action="version", version=f"homing {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (page, run, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        page.add_arguments(command)
        command.set_defaults(run=run)
    completion = commands.add_parser("completion", help="completion of these commands for a shell")
    completion.description = 'Print it: eval "$(homing completion bash)", or homing completion fish | source'
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    completion.set_defaults(run=complete)
    return parser


def complete(options: argparse.Namespace) -> int:
    """Print the code that makes a shell complete `homing`."""
    import argcomplete

    print(argcomplete.shellcode(["homing"], shell=options.shell))
    return 0
