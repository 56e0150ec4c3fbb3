"""The result of a check, and ways to run programs and Python code in processes of their own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

TIMEOUT_SECONDS = 60
PACKAGE_MANAGERS = ("apt-get", "dnf", "yum", "zypper", "brew", "conda")


@dataclass(frozen=True)
class Check:
    """The result of a check: `found` is the fact, `fix` a command or a configuration key, empty if all is well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Check:
    """Return a check that passed."""
    return Check(name, "ok", found)


def warn(name: str, found: str, fix: str) -> Check:
    """Return a check that found something to look at; a run may still work."""
    return Check(name, "warn", found, fix)


def fail(name: str, found: str, fix: str) -> Check:
    """Return a check that failed: a run would stop, hang or give wrong results."""
    return Check(name, "fail", found, fix)


@dataclass(frozen=True)
class Answer:
    """What a program printed: `text` is its output, or the first line of its error if it was not `good`."""

    good: bool
    text: str
    output: str = ""


def ask(*command: str) -> Answer | None:
    """Run a program. Return None if there is none of that name."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        return Answer(False, f"no answer within {TIMEOUT_SECONDS} s")
    except OSError as error:
        return Answer(False, str(error))
    if done.returncode:
        return Answer(
            False, first_line(done.stderr) or first_line(done.stdout) or f"status {done.returncode}", done.stdout
        )
    return Answer(True, done.stdout.strip(), done.stdout)


def ask_python(code: str) -> dict[str, Any] | str:
    """Return the JSON that Python code prints, or the last line of its error. A crash ends only that process."""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        return lines[-1] if lines else f"ended with status {answer.returncode}"
    return json.loads(answer.stdout.splitlines()[-1])


def first_line(text: str) -> str:
    """Return the first line that is not empty."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def listed(names: Sequence[str], most: int = 4) -> str:
    """Join the first names, and the number of the others."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def install_command(package: str) -> str:
    """Return the command that installs a system package, with the package manager of this machine."""
    manager = next((name for name in PACKAGE_MANAGERS if shutil.which(name)), None)
    return f"{manager} install {package}" if manager else f"install {package}, or ask your site for it"
