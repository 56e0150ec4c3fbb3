"""Runs the commands of a guide as its reader would: every block in order, in one folder."""

import csv
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from checkout import ROOT, copy_repository, run

GUIDES = ROOT / "docs/guides"
BIN = ROOT / "tests/workflow/bin"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\S+/\S+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file it is to be written to, if its first line names one."""

    language: str
    text: str
    file: str | None


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that do something: commands, Python, and files to write."""
    found = []
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        named = FILE.match(text)
        if language in ("sh", "python") or named:
            found.append(Block(language, text, named.group(1) if named else None))
    return found


def checkout(folder: Path) -> Path:
    """A copy of the repository, with `.venv` in it, that expects no sums: fixtures have other bytes than upstream."""
    copy_repository(folder)
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.prefix, "bin"))
    (folder / ".venv/.installed").touch()  # make env has nothing to do
    table = folder / "config/sources.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"bytes": "", "sha256": "record on first use" if row["sha256"] else ""} for row in rows)
    return folder


def follow(page: Path, folder: Path, fixture: dict | None = None) -> str:
    """Write the files and run the commands of a guide; all that was printed. Fails at the first command that does.

    fixture: settings laid over every configuration file that a command names, which make it small.
    """
    environment = {
        "PYTHONPATH": str(folder / "src"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    if fixture is not None:
        overlay = folder / "fixture.yaml"
        overlay.write_text(yaml.safe_dump(fixture))
        environment |= {
            "PATH": f"{BIN}:{environment['PATH']}",
            "GUIDE_FIXTURE": str(overlay),
            "GUIDE_PYTHON": sys.executable,
        }
    printed, written = "", []
    for block in blocks(page):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
            written.append(folder / block.file)
            continue
        command = (
            ["bash", "-euo", "pipefail", "-c", block.text]
            if block.language == "sh"
            else [sys.executable, "-c", block.text]
        )
        done = run(folder, command, environment)
        printed += done.stdout
        assert done.returncode == 0, f"{page.name}: {block.text}\n{done.stdout[-6000:]}"
    for path in set(written):
        path.unlink()  # the next guide's reader has none of it
    return printed
