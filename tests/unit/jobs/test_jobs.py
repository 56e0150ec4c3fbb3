"""How a rule's script ends: its status, its log, nothing of Python's shutdown, and what a retry does."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
import atexit, os
from types import SimpleNamespace
from homing.errors import HomingError, TransientError
from homing.jobs.job import job
atexit.register(os.abort)  # as a thread of a library does that is still awake
settings = SimpleNamespace(settings={{"config": {{"a": 1}}}})
resources, output = {{"attempt": "{attempt}"}}, {{}}
snakemake = SimpleNamespace(log=["{log}"], rule="one", params=settings, resources=resources, output=output)
with job(snakemake) as config:
    print("seen", config["a"])
    {body}
"""


def run(log: Path, body: str, attempt: int = 1) -> subprocess.CompletedProcess:
    """A job as Snakemake starts it: without the log of the try before."""
    log.unlink(missing_ok=True)
    code = textwrap.dedent(SCRIPT).format(log=log, body=body, attempt=attempt)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("body", "status", "logged"),
    [
        ("pass", 0, "one took"),
        ("raise HomingError('x.csv: no column lat')", None, "error: x.csv: no column lat"),
        ("raise OSError(28, 'No space left on device', 'results/x')", None, "error: results/x: no space left"),
    ],
)
def test_a_job_that_is_done_cannot_fail_any_more(tmp_path, body, status, logged):
    log = tmp_path / "logs/one.log"
    done = run(log, body)
    assert (done.returncode == 0) == (status == 0)
    assert logged in log.read_text() and "Traceback" not in log.read_text() and done.stdout == "seen 1\n"


def test_a_retry_works_again_only_where_the_error_may_be_gone(tmp_path):
    """What comes again for sure ends the tries after it with the first one's log; a new run begins anew."""
    log, hopeless = tmp_path / "one.log", "raise HomingError('shard-7: missing shard')"
    first = run(log, hopeless)
    told = log.read_text()
    again = run(log, "pass", attempt=2)
    assert first.stdout == "seen 1\n" and again.stdout == "" and again.returncode != 0
    assert log.read_text() == told and again.stderr == first.stderr == told
    assert run(log, "pass").returncode == 0  # somebody has mended it
    for body in (
        "raise TransientError('time is up')",
        "raise OSError(28, 'full')",
        "raise ValueError('a defect')",
        "os._exit(9)",
    ):
        assert run(log, body).returncode != 0
        assert run(log, "pass", attempt=2).returncode == 0, body
