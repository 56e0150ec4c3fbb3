"""The wheel, installed where there is no clone: it has its files, and the commands that need no workflow work."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from checkout import copy_repository

from homing import __version__

pytestmark = pytest.mark.workflow


def run(*command, cwd, check=True) -> subprocess.CompletedProcess:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # which may name a clone
    done = subprocess.run([*map(str, command)], cwd=cwd, env=bare, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The bin folder of a fresh environment with the wheel; its dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = copy_repository(folder / "sources")
    build = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "wheel", *build, "--wheel-dir", folder, sources, cwd=folder)
    (wheel,) = folder.glob("homing-*.whl")
    venv.create(folder / "clean")
    quiet = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    python = folder / "clean/bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, wheel, cwd=folder)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder / "clean"), "platbase": str(folder / "clean")})
    # As a path and no site folder, so that the editable install in there stays unseen.
    Path(packages, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "clean/bin"


def test_it_is_this_version_and_its_own_code(installed, tmp_path):
    assert run(installed / "homing", "--version", cwd=tmp_path).stdout.split()[-1] == __version__
    where = run(installed / "python", "-c", "import homing; print(homing.__file__)", cwd=tmp_path).stdout
    assert str(installed.parent) in where


def test_it_has_its_configuration_and_tables(installed, tmp_path):
    code = (
        "from homing.config import configuration; from homing.evaluate.published import published;"
        "print(configuration.resolve({})['run'], len(published('im2gps3k')))"
    )
    assert run(installed / "python", "-c", code, cwd=tmp_path).stdout.split() == ["demo", "2"]


def test_it_scores_anybodys_predictions(installed, tmp_path):
    (tmp_path / "truth.csv").write_text("photo_id,latitude,longitude\na,1,2\nb,3,4\n")
    (tmp_path / "answers.csv").write_text("photo_id,latitude,longitude\na,1,2\nb,3,9\n")
    scored = run(installed / "homing", "evaluate", "answers.csv", "--truth", "truth.csv", cwd=tmp_path).stdout
    assert "within" in scored and "50" in scored


def test_it_carries_the_workflow(installed, tmp_path):
    """A plan of the demo in an empty folder: the jobs of the Snakefile that came with the wheel."""
    planned = json.loads(run(installed / "homing", "plan", "--json", cwd=tmp_path).stdout)
    assert {"make_geocells", "pretrain_clip", "make_report"} <= {line["rule"] for line in planned["rules"]}
