"""What a launcher and the processes it starts agree on."""

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

# The terminal of the rule's job, for processes whose own output goes through a pipe into the log.
TERMINAL = "HOMING_TERMINAL"


def die_with_parent() -> None:
    """Have the kernel end this process when its launcher dies, so that it does not train on beside the retry.

    By SIGTERM, on which a training saves and stops: a job that is cancelled loses its launcher first.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def error_file(spec: Mapping[str, Any]) -> Path:
    """Where a process of a launch leaves its error for the launcher when it fails."""
    return Path(spec["path"]).with_name(f"error-{spec['launch']}.json")


def tell_launcher(spec: Mapping[str, Any], error: HomingError) -> None:
    """Leave the error that the job ends with; the first process to fail has the word."""
    try:
        descriptor = os.open(error_file(spec), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"transient": isinstance(error, TransientError), "message": str(error)}, file)


def told_error(spec: Mapping[str, Any]) -> HomingError | None:
    """The error that a process of the launch has left, of its kind."""
    if not error_file(spec).exists():
        return None
    told = read_json(error_file(spec))
    return (TransientError if told["transient"] else HomingError)(told["message"])
