"""`homing doctor`: problems of machine, configuration and profile, each with its fix."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from homing.cli.workflow import add_workflow_arguments


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Check this machine, and whether it has what a configuration and a profile need. The exit status is 0, or 1 if "
        "a check fails. Nothing that was downloaded is run, and no token is shown."
    )
    add_workflow_arguments(command)
    command.add_argument("--json", action="store_true", help="print the checks as JSON")


def doctor(options: argparse.Namespace) -> int:
    """Run all checks and print them. Return the exit status."""
    from homing.doctor.examine import examine
    from homing.doctor.text import as_text

    checks = examine(Path.cwd(), options.configfile, options.profile)
    passed = all(check.status != "fail" for check in checks)
    if options.json:
        content = {"ok": passed, "checks": [asdict(check) for check in checks]}
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print(as_text(checks))
    return 0 if passed else 1
