"""`homing doctor`: what is wrong, and the exact cure."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What the command takes."""
    command.description = (
        "Check this machine, and what a configuration and a profile ask of it. The status is 0, or 1 when something "
        "must be mended. Nothing that was downloaded is run, and no token is shown."
    )
    add = command.add_argument
    add("--configfile", nargs="+", action="extend", default=[], metavar="FILE", help="later ones over earlier ones")
    add("--profile", action="append", default=[], metavar="P", help="folder, file or name; may be repeated (local)")
    add("--json", action="store_true", help="the checks as JSON")


def doctor(options: argparse.Namespace) -> int:
    """Examine and print."""
    from homing.doctor.examine import examine
    from homing.doctor.text import as_text

    checks = examine(Path.cwd(), options.configfile, options.profile)
    good = all(check.status != "fail" for check in checks)
    told = json.dumps({"ok": good, "checks": [asdict(check) for check in checks]}, indent=1, ensure_ascii=False)
    print(told if options.json else as_text(checks))
    return 0 if good else 1
