"""The command line: one module per command, which adds its arguments and runs it."""

import argparse
import os
import sys
from collections.abc import Sequence

from homing import __version__
from homing.cli import compare, doctor, evaluate, export, init, plan, predict
from homing.errors import HomingError
from homing.jobs.workers import let_threads_sleep

BROKEN_PIPE = 141  # 128 + SIGPIPE, the status that a shell gives other programs
# The modules import what a command needs when it runs, so that the command line starts quickly.
COMMANDS = {
    "predict": (predict, predict.predict, "predict where photos were taken"),
    "evaluate": (evaluate, evaluate.evaluate, "score a file of predictions against the truth"),
    "compare": (compare, compare.compare, "compare finished runs"),
    "export": (export, export.export, "export a model: Hugging Face layout, ONNX, without training photos"),
    "init": (init, init.init, "write a configuration and a profile"),
    "doctor": (doctor, doctor.doctor, "check machine, configuration and profile"),
    "plan": (plan, plan.plan, "estimate the jobs, disk and hours of a run"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. A HomingError is printed as one line on stderr."""
    parser = command_line()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
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
    except BrokenPipeError:  # e.g. `| head`; stdout is replaced so that Python does not flush it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets `run` to the function that runs it."""
    parser = argparse.ArgumentParser(prog="homing", description="Photo geolocation with models trained by Homing.")
    parser.add_argument("--version", action="version", version=f"homing {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, run, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        module.add_arguments(command)
        command.set_defaults(run=run)
    completion = commands.add_parser("completion", help="print the shell completion of these commands")
    completion.description = 'Use it by eval "$(homing completion bash)", or homing completion fish | source'
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    completion.set_defaults(run=complete)
    return parser


def complete(options: argparse.Namespace) -> int:
    """Print the code that completes `homing` in a shell."""
    import argcomplete

    print(argcomplete.shellcode(["homing"], shell=options.shell))
    return 0
