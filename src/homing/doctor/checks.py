"""A check and what it found; programs and Python of the machine, asked in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Check:
    """`found` says what is; `fix` is a command or a key, empty where nothing is to be done."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Check:
    """Good, or nothing that is needed."""
    return Check(name, "ok", found)


def warn(name: str, found: str, fix: str) -> Check:
    """A run may bear it."""
    return Check(name, "warn", found, fix)


def fail(name: str, found: str, fix: str) -> Check:
    """A run would stop, hang or be wrong."""
    return Check(name, "fail", found, fix)


@dataclass(frozen=True)
class Answer:
    """What a program said; `text` is its output, or the first line of its complaint where it was not `good`."""

    good: bool
    text: str
    output: str = ""


def ask(*command: str) -> Answer | None:
    """Run a program of the machine; None when there is none of that name."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        return Answer(False, f"no answer within {PATIENCE_SECONDS} s")
    except OSError as error:
        return Answer(False, str(error))
    if done.returncode:
        return Answer(
            False, first_line(done.stderr) or first_line(done.stdout) or f"status {done.returncode}", done.stdout
        )
    return Answer(True, done.stdout.strip(), done.stdout)


def ask_python(code: str) -> dict[str, Any] | str:
    """The JSON that a piece of Python prints, or its last line of complaint. A broken one ends that process alone."""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        return lines[-1] if lines else f"ended with status {answer.returncode}"
    return json.loads(answer.stdout.splitlines()[-1])


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def listed(names: Sequence[str], most: int = 4) -> str:
    """Some names, and how many more."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
