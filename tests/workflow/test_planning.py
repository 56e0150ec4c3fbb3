"""`homing plan`, `doctor` and `init` against Snakemake itself."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from checkout import copy_repository, snakemake

from homing.plan.estimate import Request, make_plan
from homing.plan.jobs import planned_jobs
from homing.plan.text import as_text

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("plan"))


def counted(output: str) -> Counter:
    """Jobs by rule in the table that a dry run prints."""
    table = re.search(r"Job stats:\n.*?\n-+.*?\n(.*?)\ntotal", output, re.S)
    rows = (line.split() for line in table.group(1).splitlines()) if table else ()
    return Counter({rule: int(number) for rule, number in rows})


def homing(folder, *arguments: str) -> subprocess.CompletedProcess:
    """The command line of this library, run in a folder."""
    return subprocess.run([sys.executable, "-m", "homing.cli", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "profile"), [("osv5m.yaml", "slurm"), ("sample.yaml", "local")])
def test_the_jobs_are_those_of_a_dry_run_before_anything_is_downloaded(checkout, sample_data, name, profile):
    (checkout / "over.yaml").write_text(f"mirror: {sample_data}\n")
    files = [f"config/{name}", "over.yaml"]
    plan = make_plan(Request(checkout, files, [profile]))
    dry_run = snakemake(checkout, "--dry-run", "--configfile", *files, profile=profile).stdout
    assert Counter(job.rule for job in plan.jobs) == counted(dry_run)
    assert {line.rule: line.jobs for line in plan.rules} == counted(dry_run)
    printed = as_text(plan)
    assert (
        re.search(rf"^total +{len(plan.jobs)} ", printed, re.M) and "critical path" in printed and len(plan.jobs) > 40
    )
    if name == "osv5m.yaml":
        assert plan.download_gb == pytest.approx(255, rel=0.05) and plan.peak_disk_gb > 500
        assert {job.rule: job.threads for job in plan.jobs}["pretrain_clip"] == 2, "threads as SLURM will grant them"
        assert plan.device == "a100" and plan.total().gpu_hours > 10


def test_a_target_plans_what_it_needs_alone(checkout):
    rules = {job.rule for job in planned_jobs(checkout, targets=["labels"])}
    assert "label_photos" in rules and not rules & {"make_geocells", "pretrain_clip", "all"}


def test_the_plan_of_the_demo_is_told_as_json_and_what_is_wrong_in_one_line(checkout):
    told = homing(checkout, "plan", "--json")
    content = json.loads(told.stdout)
    assert content["chain"][0] == "make_toyplanet" and content["device"] == "cpu"
    assert content["total"]["jobs"] == sum(line["jobs"] for line in content["rules"]) > 30
    wrong = homing(checkout, "plan", "nothing_of_this_name")
    assert wrong.returncode == 2 and "nothing_of_this_name" in wrong.stderr and wrong.stderr.count("\n") == 1
    absent = homing(checkout, "plan", "--configfile", "config/my_photos.yaml")
    assert absent.stderr == ("homing: the dry run failed: rule list_photos needs my_photos/photos.csv: no such file\n")


def test_init_writes_what_snakemake_takes_and_overwrites_nothing_unasked(checkout, tmp_path):
    (checkout / "pictures").mkdir()
    (checkout / "places.csv").write_text("lat,lng,image\n1.5,2.5,a.jpg\n")
    own = ["init", "--dataset", "mine", "--table", "places.csv", "--photos", "pictures", "--name", "own", "--yes"]
    done = homing(checkout, *own)
    assert done.returncode == 0, done.stderr
    assert "1 of the first 1 photos are missing, first a.jpg" in done.stdout
    assert done.stdout.splitlines()[-1] == "  snakemake --configfile config/own.yaml --profile profiles/own"
    jobs = int(re.search(r"plans (\d+) jobs", done.stdout)[1])
    written = snakemake(checkout, "--dry-run", "--configfile", "config/own.yaml", profile="own").stdout
    assert counted(written).total() == jobs
    again = homing(checkout, *own)
    assert again.returncode == 2 and "config/own.yaml" in again.stderr and "--overwrite" in again.stderr
    assert homing(checkout, *own, "--overwrite").returncode == 0


def test_the_doctor_says_by_its_status_whether_something_must_be_mended(checkout, tmp_path):
    done = homing(checkout, "doctor", "--configfile", "config/osv_mini.yaml", "--json")
    found = json.loads(done.stdout)
    by_name = {check["name"]: check for check in found["checks"]}
    assert done.returncode == 1 and found["ok"] is False
    assert by_name["licences"]["fix"].endswith("accept_licences: [gadm_levels]")
    assert all(check["fix"] for check in found["checks"] if check["status"] != "ok")
    (checkout / "wrong.yaml").write_text("geocell: {}\n")
    wrong = homing(checkout, "doctor", "--configfile", "wrong.yaml")
    assert wrong.returncode == 1 and "did you mean 'geocells'?" in wrong.stdout
