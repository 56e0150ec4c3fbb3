"""All checks of `homing doctor`, in the order in which a user would fix them."""

from collections.abc import Sequence
from pathlib import Path

from homing.config import configuration
from homing.doctor import machine
from homing.doctor.checks import Check, fail
from homing.doctor.configured import configured
from homing.doctor.slurm import slurm
from homing.doctor.storage import storage
from homing.errors import HomingError
from homing.plan.estimate import Plan, Request, make_plan, read_config
from homing.plan.jobs import has_snakemake, is_local, profile_of, read_profile
from homing.shipped import ROOT
from homing.sources.table import read_sources


def examine(folder: Path, configfiles: Sequence[str], profiles: Sequence[str]) -> list[Check]:
    """Check the machine, and whether it has what a configuration and profiles need. Leaves no files behind."""
    checks = [machine.python(), machine.packages(), machine.workflow(), machine.gdal(), machine.git()]
    plan, config, troubles = _planned(folder, configfiles, profiles)
    found = [profile_of(folder, name) for name in profiles] if not troubles else []
    jobs = plan.jobs if plan else []
    local = is_local(found)
    gpus = max((job.gpus for job in jobs), default=0) if local else 0
    keys = {key: value for path in found for key, value in read_profile(path).items()}
    checks += [machine.gpu(gpus, local and _uses_bf16(config)), *troubles]
    checks += storage(folder / "results", plan.peak_disk_gb if plan else None)
    if config:
        sources = read_sources(ROOT / "config/sources.csv")
        checks += configured(config, configuration.used_rows(config, sources), folder)
    return checks + slurm(keys, jobs)


def _uses_bf16(config: configuration.Config | None) -> bool:
    """Return True if any stage trains or embeds in bf16."""
    stages = ("pretrain", "embed", "finetune")
    return config is not None and any(config[stage]["mixed_precision"] == "bf16" for stage in stages)


def _planned(
    folder: Path, configfiles: Sequence[str], profiles: Sequence[str]
) -> tuple[Plan | None, configuration.Config | None, list[Check]]:
    """Return the plan and the configuration, and a failed check for what prevents them."""
    try:
        config = read_config(folder, configfiles)
    except HomingError as error:
        return None, None, [fail("configuration", str(error), "correct this key (config/config.yaml has all keys)")]
    if not has_snakemake():
        return None, config, []  # machine.workflow has reported it
    try:
        plan = make_plan(Request(folder, configfiles, profiles))
    except HomingError as error:
        return None, config, [fail("plan", str(error), "correct the file, key or option named here")]
    return plan, config, []
