"""All checks of the doctor, in the order a user would mend them."""

from collections.abc import Sequence
from pathlib import Path

from homing.config import configuration
from homing.doctor import machine
from homing.doctor.checks import Check, fail
from homing.doctor.configured import configured, used_rows
from homing.doctor.slurm import slurm
from homing.doctor.storage import storage
from homing.errors import HomingError
from homing.plan.estimate import Plan, Request, make_plan, read_config
from homing.plan.jobs import is_local, profile_of, read_profile
from homing.shipped import ROOT


def examine(folder: Path, configfiles: Sequence[str], profiles: Sequence[str]) -> list[Check]:
    """Look at the machine, and at what a configuration and profiles ask of it. Writes nothing that stays."""
    checks = [machine.python(), machine.packages(), machine.gdal(), machine.git()]
    plan, config, troubles = _planned(folder, configfiles, profiles)
    found = [profile_of(folder, name) for name in profiles] if not troubles else []
    jobs = plan.jobs if plan else []
    here = is_local(found)
    wanted = max((job.gpus for job in jobs), default=0) if here else 0
    bf16 = bool(config) and any(
        config[stage]["mixed_precision"] == "bf16" for stage in ("pretrain", "embed", "finetune")
    )
    keys = {key: value for path in found for key, value in read_profile(path).items()}
    checks += [machine.gpu(wanted, bf16 and here), *troubles, *storage(folder / "results", plan and plan.peak_disk_gb)]
    if config:
        checks += configured(config, used_rows(config, ROOT / "config/sources.csv"), folder)
    return checks + slurm(keys, jobs)


def _planned(
    folder: Path, configfiles: Sequence[str], profiles: Sequence[str]
) -> tuple[Plan | None, configuration.Config | None, list[Check]]:
    """The plan and the configuration; what hinders them, as a check."""
    try:
        config = read_config(folder, configfiles)
    except HomingError as error:
        return None, None, [fail("configuration", str(error), "correct the key that is named (config/config.yaml)")]
    try:
        plan = make_plan(Request(folder, configfiles, profiles))
    except HomingError as error:
        return None, config, [fail("plan", str(error), "correct what is named")]
    return plan, config, []
