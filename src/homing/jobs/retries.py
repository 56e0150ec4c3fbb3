"""What a retry may hope for.

Snakemake tries a failed job again whatever it failed of, a lost node or a lost shard. A try that ends with an error
that comes again for sure therefore keeps its log, and the tries after it end with that log at once. Whoever runs
Snakemake again begins with a first try, which forgets what was kept.
"""

import shutil
from pathlib import Path

from homing.errors import HomingError, TransientError
from homing.files import atomic_path


def remember(log: str | Path, error: HomingError) -> None:
    """Keep the log of a try that ended with this error, unless the next one may end otherwise."""
    if not isinstance(error, TransientError):
        with atomic_path(kept_log(log)) as partial:
            shutil.copyfile(log, partial)


def recall(log: str | Path, attempt: int) -> str | None:
    """The last line of an earlier try that ended for good, with its log in place again; None where none has.

    attempt: 1 for the first try.
    """
    kept = kept_log(log)
    if attempt == 1:
        kept.unlink(missing_ok=True)
    if not kept.exists():
        return None
    shutil.copyfile(kept, log)
    return kept.read_text(encoding="utf-8").splitlines()[-1]


def kept_log(log: str | Path) -> Path:
    """Where the log is kept: Snakemake removes the log itself before each try."""
    return Path(log).with_suffix(".failed.log")
