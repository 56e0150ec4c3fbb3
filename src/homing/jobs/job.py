"""What the script of every rule shares: the log, the rule's settings, one-line errors, the manifest of its outputs."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homing.errors import HomingError
from homing.files import translate_disk_full
from homing.jobs.fingerprint import write_manifest
from homing.jobs.retries import recall, remember

log = logging.getLogger("homing")


def start_log(path: str | Path | None = None, line: str = "%(asctime)s %(message)s") -> None:
    """Log to stderr and, if given, to the file `path`. line: format of a message."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format=line, datefmt="%H:%M:%S", handlers=handlers, force=True)


@contextmanager
def job(snakemake) -> Iterator[dict]:
    """Run the body of a rule's script; yields the rule's slice of the configuration.

    A HomingError or a full disk ends the job with one line and status 1. Any other exception is a defect: its traceback
    goes to the log too. A retry ends at once if the attempt before it failed for good (`homing.jobs.retries`). The
    process exits after the body, so nothing may follow it in a script.
    """
    path = snakemake.log[0]
    if ended := recall(path, attempt=int(snakemake.resources.get("attempt", 1))):
        sys.exit(ended)
    start_log(path)
    started = time.monotonic()
    try:
        with translate_disk_full():
            yield snakemake.params.settings["config"]
            _list_outputs(snakemake.output)
    except HomingError as error:
        log.error("error: %s", error)
        remember(path, error)
        sys.exit(1)
    except Exception:
        log.exception("%s failed", snakemake.rule)
        raise
    log.info("%s took %.1f s", snakemake.rule, time.monotonic() - started)
    _leave()


def _list_outputs(output) -> None:
    """Write the manifest of a job's outputs, if its rule declares one and its script has not written it."""
    manifest = output.get("manifest")
    if manifest and not Path(manifest).exists():
        write_manifest(manifest, [path for path in output if path != manifest])


def _leave() -> None:
    """Exit without Python's shutdown, now that all outputs are written.

    A thread of Arrow that is still running can abort the shutdown (apache/arrow#34314), which must not fail a job that
    has done its work.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
