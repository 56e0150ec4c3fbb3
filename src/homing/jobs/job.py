"""What every rule's script shares: a log, the rule's settings, and errors of one line."""

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
    """Log to stderr, and to the file `path` when given; `line` is the format of a message."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format=line, datefmt="%H:%M:%S", handlers=handlers, force=True)


@contextmanager
def job(snakemake) -> Iterator[dict]:
    """Run the body of a rule's script: yields the rule's slice of the configuration.

    A HomingError, or a disk that is full, ends the job with its one line and status 1; anything else is a defect and
    keeps its traceback, in the log too. A retry ends as the try before it where it may hope for nothing else. The
    process ends with the body: a script has nothing after it.
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
    """Write the manifest of a job's outputs, for rules that have one and a script that has not written it."""
    manifest = output.get("manifest")
    if manifest and not Path(manifest).exists():
        write_manifest(manifest, [path for path in output if path != manifest])


def _leave() -> None:
    """End the process at once, its outputs being whole.

    While Python shuts down, a thread of Arrow that is still awake aborts it now and then (apache/arrow#34314); a job
    that has done its work must not fail by that.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
