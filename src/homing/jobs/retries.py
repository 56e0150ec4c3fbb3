"""Retries only where they can help.

Snakemake retries a failed job whatever the reason, a lost node or a missing file. An attempt that fails with an
error that is certain to recur keeps its log, and the following attempts end at once with that log. A new call of
Snakemake starts with attempt 1, which discards the kept log.
"""

import shutil
from pathlib import Path

from homing.errors import HomingError, TransientError
from homing.files import atomic_path


def remember(log: str | Path, error: HomingError) -> None:
    """Keep the log of an attempt that ended with `error`, unless the error is transient."""
    if not isinstance(error, TransientError):
        with atomic_path(kept_log(log)) as partial:
            shutil.copyfile(log, partial)


def recall(log: str | Path, attempt: int) -> str | None:
    """Restore the log of an earlier attempt that failed for good and return its last line; None if there is none.

    attempt: number of this attempt, from 1.
    """
    kept = kept_log(log)
    if attempt == 1:
        kept.unlink(missing_ok=True)
    if not kept.exists():
        return None
    shutil.copyfile(kept, log)
    return kept.read_text(encoding="utf-8").splitlines()[-1]


def kept_log(log: str | Path) -> Path:
    """Return the path of the kept log; Snakemake removes the log itself before each attempt."""
    return Path(log).with_suffix(".failed.log")
