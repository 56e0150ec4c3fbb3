"""Fine-tune the geolocator, launched by Accelerate."""

from pathlib import Path

from homing import config as configuration
from homing.jobs import job
from homing.training.stage import run_stage

with job(snakemake):
    # How many nodes and processes there are is no part of params: it does not change the result.
    sizes = configuration.resolve(snakemake.config)["finetune"]
    run_stage(
        "homing.training.finetune",
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        snakemake.params.settings,
        sizes,
        snakemake.threads,
        snakemake.resources.runtime,
        Path("results/checkpoints"),
    )
