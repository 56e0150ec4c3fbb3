"""Other workflows use this one as a module, and Snakemake's own checks find nothing to say about it."""

import sys

import pytest
import yaml
from checkout import ROOT, TINY, run

pytestmark = pytest.mark.workflow

THEIRS = """
configfile: "theirs.yaml"


module homing:
    snakefile: "{snakefile}"
    config: config


use rule * from homing


rule count_cells:
    default_target: True
    input:
        "results/runs/theirs/geocells/geocells.parquet",
    output:
        "cells.txt",
    run:
        import pandas

        print(len(pandas.read_parquet(input[0], columns=["cell_id"])), file=open(output[0], "w"))
"""


def snakemake(folder, *arguments: str):
    """Snakemake as another workflow's user starts it: no profile, and no library but what the module brings."""
    return run(folder, [sys.executable, "-m", "snakemake", *arguments])


def test_the_linter_has_nothing_to_say():
    done = snakemake(ROOT, "--lint")
    assert done.returncode == 0 and "Congratulations" in done.stdout, done.stdout


def test_another_workflow_builds_on_its_geocells(tmp_path):
    """Its own folder, configuration and targets; the rules, sources and fact tables of this repository."""
    (tmp_path / "Snakefile").write_text(THEIRS.format(snakefile=ROOT / "Snakefile"))
    settings = yaml.safe_load(TINY.read_text()) | {"run": "theirs", "labels": {"driving_side": "driving_side/shipped"}}
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(settings))
    done = snakemake(tmp_path, "--cores", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    assert int((tmp_path / "cells.txt").read_text()) >= 5
    assert (
        tmp_path / "config/sources.lock.csv"
    ).exists() is False  # nothing was fetched, and nothing written beside ours
