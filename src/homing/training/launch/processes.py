"""The protocol between a launcher and its processes: lifetime, terminal, errors."""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homing.errors import HomingError, TransientError
from homing.files import read_json

# Environment variable with the terminal of the rule's job, since the output of its processes is piped into the log.
TERMINAL = "HOMING_TERMINAL"


def die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its launcher dies, so that it does not compete with the retry.

    On SIGTERM a training saves and stops: in a cancelled job the launcher dies first. Linux only.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def error_file(spec: Mapping[str, Any]) -> Path:
    """Return the file in which a failing process reports its error to the launcher."""
    return Path(spec["path"]).with_name(f"error-{spec['launch']}.json")


def report_error(spec: Mapping[str, Any], error: HomingError) -> None:
    """Report the error that the job ends with. Only the first process to fail is heard."""
    try:
        descriptor = os.open(error_file(spec), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"transient": isinstance(error, TransientError), "message": str(error)}, file)


def read_error(spec: Mapping[str, Any]) -> HomingError | None:
    """Return the error reported by a process of the launch, TransientError or HomingError; None if there is none."""
    if not error_file(spec).exists():
        return None
    report = read_json(error_file(spec))
    return (TransientError if report["transient"] else HomingError)(report["message"])
