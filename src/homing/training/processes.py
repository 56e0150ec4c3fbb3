"""What a launcher and the processes it starts agree on."""

import ctypes
import os
import signal
import sys
from pathlib import Path

# The terminal of the rule's job, for processes whose own output goes through a pipe into the log.
TERMINAL = "HOMING_TERMINAL"


def die_with_parent() -> None:
    """Have the kernel end this process when its launcher dies, so that it does not train on beside the retry.

    By SIGTERM, on which a training saves and stops: a job that is cancelled loses its launcher first.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def error_file(spec_path: Path) -> Path:
    """Where a process that fails leaves its message for the launcher."""
    return spec_path.with_name("error.txt")


def tell_launcher(spec_path: Path, message: str) -> None:
    """Leave the message that the job ends with; the first process to fail has the word."""
    try:
        descriptor = os.open(error_file(spec_path), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(message)
