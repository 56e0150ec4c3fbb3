"""The doctor: what it finds about a cluster, a configuration and a file system, each with its fix, and no secrets."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from homing.config import configuration
from homing.doctor.checks import install_command
from homing.doctor.configured import configured
from homing.doctor.examine import examine as examine_all
from homing.doctor.machine import gdal, git, gpu, install_environment, packages, python, workflow
from homing.doctor.slurm import minutes, read_partitions, slurm
from homing.doctor.storage import quota, set_clock, storage
from homing.doctor.text import as_text
from homing.errors import HomingError
from homing.plan.estimate import Request, make_plan
from homing.plan.jobs import ROOT, Job
from homing.setup.write import Answers, write
from homing.sources.table import read_sources

SINFO = """cpu*|up|1-00:00:00|32|128000|(null)
gpu|up|infinite|64+|512000+|gpu:a100:4(S:0-1)
gpu|up|infinite|32|256000|gpu:h100:2
old|down|infinite|64|512000|(null)"""
PROFILE = {"executor": "slurm", "slurm-status-command": "squeue", "slurm-no-account": True}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program onto an otherwise empty PATH: a cluster's commands, as its site might have them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, output: str, status: int = 0) -> None:
        path = folder / name
        (folder / f"{name}.said").write_text(output + "\n")
        loop = f'while IFS= read -r line; do echo "$line"; done < {folder}/{name}.said'
        path.write_text(f"#!/bin/sh\n{loop}{' >&2' if status else ''}\nexit {status}\n")
        path.chmod(0o755)

    return put


@pytest.fixture
def cluster(program):
    program("sinfo", SINFO)
    program("squeue", "")
    program("sacct", "sacct: error: Slurm accounting storage is disabled", 1)
    program("scontrol", "MinJobAge               = 300 sec")
    return program


def job(rule="pretrain_clip", threads=1, **resources) -> Job:
    return Job(rule, benchmark=f"{rule}.tsv", threads=threads, resources={"slurm_partition": "gpu"} | resources)


def failures(checks) -> list:
    return [check for check in checks if check.status == "fail"]


def test_the_largest_resources_of_a_partition_are_read():
    found = read_partitions(SINFO)
    assert found["cpu"].default and not found["old"].up
    assert (found["gpu"].cpus, found["gpu"].memory_mb, found["gpu"].gpus) == (64, 512_000, {"a100": 4, "h100": 2})
    assert found["cpu"].minutes == 1440


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("30:00", 30), ("1:30:00", 90), ("2-12", 3600), ("1-00:00:30", 1440.5), ("infinite", float("inf"))],
)
def test_time_limits_of_slurm(limit, expected):
    assert minutes(limit) == expected


def test_a_good_profile_passes(cluster):
    requested = job(threads=32, gpu=4, nodes=1, mem_mb=240_000, runtime=1440)
    assert not failures(slurm(PROFILE, [requested, Job("all")]))


@pytest.mark.parametrize(
    ("requested", "found", "fix"),
    [
        (job(slurm_partition="gpus"), "no partition 'gpus'; there are cpu, gpu, old", "{slurm_partition: gpu}"),
        (job(slurm_partition="old"), "partition old is down", "slurm_partition"),
        (job(slurm_partition="cpu", runtime=2000), "above the limit of cpu", "{runtime: 1440}"),
        (job(mem_mb=900_000), "mem_mb 900000", "{mem_mb: 512000}"),
        (job(threads=128), "128 threads", "set-threads: pretrain_clip: 64"),
        (job(gpu=8, nodes=1), "8 GPUs per node, gpu has 4", "slurm_partition"),
        (job(gpu=1, slurm_partition="cpu"), "cpu has none", "slurm_partition"),
        (job(gpu=1, gpu_model="v100"), "gpu_model v100: gpu has a100, h100", "gpu_model"),
    ],
)
def test_what_a_partition_does_not_grant_is_reported_with_the_key(cluster, requested, found, fix):
    (check,) = failures(slurm(PROFILE, [requested]))
    assert found in check.found and fix in check.fix and "pretrain_clip" in check.found


def test_without_accounting_the_default_status_command_would_wait_forever(cluster):
    (check,) = failures(slurm({"executor": "slurm"}, []))
    assert check.fix == "slurm-status-command: squeue" and "accounting storage is disabled" in check.found


def test_with_accounting_either_command_will_do(cluster):
    cluster("sacct", "1")
    for profile in (PROFILE, {"executor": "slurm", "slurm-no-account": True}):
        assert not failures(slurm(profile, []))


def test_a_cluster_that_forgets_jobs_too_soon_is_reported(cluster):
    cluster("scontrol", "MinJobAge = 10 sec")
    assert [check.name for check in slurm(PROFILE, []) if check.status == "warn"] == ["status command"]


def test_no_slurm_is_information_unless_the_profile_needs_it(program):
    (check,) = slurm({"executor": "local"}, [])
    assert check.status == "ok" and "no sinfo on PATH" in check.found
    program("sinfo", "sinfo: error: Unable to contact slurm controller", 1)
    (check,) = slurm(PROFILE, [])
    assert check.status == "fail" and "Unable to contact" in check.found and "login node" in check.fix


def examine(folder: Path, name: str, **changes) -> dict:
    given = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) | changes
    config = configuration.resolve(given)
    rows = configuration.used_rows(config, read_sources(ROOT / "config/sources.csv"))
    return {check.name: check for check in configured(config, rows, folder)}


def test_licences_and_tokens_are_reported_and_no_token_is_shown(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = examine(tmp_path, "pigeotto")
    assert found["licences"].fix.endswith("accept_licences: [gadm_levels, mp16pro]")
    assert found["Hugging Face token"].status == "fail" and "mp16pro" in found["Hugging Face token"].found

    (tmp_path / "token").write_text("hf_from_a_file")
    assert examine(tmp_path, "pigeotto")["Hugging Face token"].status == "ok"
    monkeypatch.setenv("HF_TOKEN", "hf_from_the_environment")
    found = examine(tmp_path, "pigeotto", accept_licences=["gadm_levels", "mp16pro"])
    assert found["licences"].status == found["Hugging Face token"].status == "ok"
    printed = as_text(list(found.values())) + json.dumps([asdict(check) for check in found.values()])
    assert "hf_from" not in printed


def test_files_of_a_mirror_are_looked_for_and_their_sizes_compared(tmp_path, sample_data):
    found = examine(tmp_path, "sample", mirror=str(sample_data))
    assert {check.status for check in found.values()} == {"ok"} and "6 in the mirror" in found["raw files"].found

    absent = tmp_path / "mirror"
    absent.mkdir()
    found = examine(tmp_path, "sample", mirror=str(absent))
    assert found["raw files"].status == "fail" and "boundaries/levels.gpkg" in found["raw files"].found
    assert found["data set aerial"].status == "fail"

    for name in ("boundaries/levels.gpkg", "rasters/etopo20_elevation_20min.tif"):
        (absent / name).parent.mkdir(exist_ok=True)
        (absent / name).write_bytes(b"cut off")
    assert (
        "levels.gpkg: 7 bytes instead of 17477632" in examine(tmp_path, "sample", mirror=str(absent))["raw files"].found
    )
    assert "no such folder" in examine(tmp_path, "sample", mirror=str(tmp_path / "nowhere"))["mirror"].found


def test_the_file_system_of_the_results_passes_and_nothing_is_left_behind(tmp_path):
    checks = {check.name: check.status for check in storage(tmp_path / "results", 0.001)}
    assert checks == dict.fromkeys(["disk", "quota", "clock", "rename", "links", "locks"], "ok")
    assert not list(tmp_path.iterdir())


def test_a_quota_that_is_used_up_is_a_failure(program, tmp_path):
    program("df", "Filesystem\n/dev/home")
    header = "Disk quotas for user me (uid 7):\n Filesystem blocks quota limit grace"
    program("quota", f"{header}\n/dev/home 1000000* 900000 1100000 6days")
    assert quota(tmp_path, 0.05).found.startswith("0.1 GB left of 1.1 GB on /dev/home")
    assert (quota(tmp_path, 0.05).status, quota(tmp_path, 1).status) == ("ok", "fail")


def test_too_small_a_disk_and_a_folder_that_cannot_be_written_are_failures(tmp_path):
    (check,) = failures(storage(tmp_path / "results", 1e9))
    assert "1,000,000,000.0 GB needed" in check.found and "ln -s" in check.fix
    (tmp_path / "file").touch()
    (check,) = storage(tmp_path / "file" / "results", None)
    assert check.name == "results folder" and "cannot be written" in check.found


def test_this_machine_has_what_the_tests_run_with(monkeypatch):
    assert {python().status, gdal().status} == {"ok"} and packages().status in ("ok", "warn")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (gpu(0, False).status, gpu(2, False).status) in (("ok", "fail"), ("warn", "warn"))


def test_without_snakemake_the_extra_is_named_and_the_other_checks_go_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "snakemake", None)
    fix = "pip install 'homing[workflow]'"
    assert (workflow().status, workflow().fix) == ("fail", fix)
    found = {check.name: check for check in examine_all(tmp_path, [], [])}
    assert found["Snakemake"].fix == fix and "plan" not in found and "licences" in found
    with pytest.raises(HomingError, match=re.escape(fix)):
        make_plan(Request(tmp_path))
    answers = Answers("demo", "first", 0, slurm=False)
    with pytest.raises(HomingError, match=re.escape(fix)):
        write(answers, None, tmp_path / "out", overwrite=False)
    assert not list((tmp_path / "out").iterdir())


def test_fixes_name_only_programs_that_are_installed(program, monkeypatch):
    """On a machine without make, package manager, sudo, timedatectl, hf and lfs, no fix asks for them."""
    monkeypatch.setattr("homing.doctor.machine.installed", lambda name: None)
    checks = [packages(), git(), *examine(ROOT, "pigeotto").values(), *storage(ROOT / "results", 1e9)]
    absent = re.compile(r"\b(apt-get|dnf|make env|sudo|timedatectl|hf auth|lfs|module load|gdal\w+|ogr2ogr)\b")
    assert not [check.fix for check in checks if absent.search(check.fix + check.found)]
    assert not absent.search(set_clock()) and "requirements.lock" in install_environment()
    program("dnf", "")
    program("make", "")
    assert install_command("git") == "dnf install git" and install_environment() == "make env"
