"""A copy of the repository to run the workflow in, so that tests may edit code and leave no results behind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from compiled import copy_compiled

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/workflow/tiny.yaml"


def copy_repository(folder: Path) -> Path:
    """Copy what git tracks, and what it does not ignore, into `folder`; and what of it numba has compiled."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    copy_compiled(folder / "src")
    return folder


def run(folder: Path, command: list[str], environment: dict[str, str] | None = None, timeout: float = 900):
    """Run a command in a folder, with nothing to read. Returns the finished process, output and errors in stdout."""
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def snakemake(folder: Path, *arguments: str, profile: str = "local", check: bool = True, timeout: float = 900):
    """Run Snakemake in a checkout with the library of that checkout. Returns the finished process, output in stdout."""
    command = [sys.executable, "-m", "snakemake", "--profile", f"profiles/{profile}", *map(str, arguments)]
    done = run(folder, command, {"PYTHONPATH": str(folder / "src")}, timeout)
    assert done.returncode == 0 or not check, done.stdout[-6000:]
    return done


def planned_rules(folder: Path, *arguments: str) -> set[str]:
    """The rules that a dry run would execute."""
    output = snakemake(folder, "--dry-run", *arguments).stdout
    table = re.search(r"Job stats:\n.*?\n-+.*?\n(.*?)\ntotal", output, re.S)
    return {line.split()[0] for line in table.group(1).splitlines()} if table else set()
