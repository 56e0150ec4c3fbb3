"""How a rule's script ends: its status, its log, and nothing of Python's shutdown."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
import atexit, os
from types import SimpleNamespace
from homing.errors import HomingError
from homing.jobs import job
atexit.register(os.abort)  # as a thread of a library does that is still awake
snakemake = SimpleNamespace(log=["{log}"], rule="one", params=SimpleNamespace(settings={{"config": {{"a": 1}}}}))
with job(snakemake) as config:
    print("seen", config["a"])
    {body}
"""


@pytest.mark.parametrize(
    ("body", "status", "logged"),
    [("pass", 0, "one took"), ("raise HomingError('x.csv: no column lat')", None, "error: x.csv: no column lat")],
)
def test_a_job_that_is_done_cannot_fail_any_more(tmp_path, body, status, logged):
    log = tmp_path / "logs/one.log"
    code = textwrap.dedent(SCRIPT).format(log=log, body=body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode == 0) == (status == 0)
    assert logged in log.read_text() and "Traceback" not in log.read_text() and done.stdout == "seen 1\n"
