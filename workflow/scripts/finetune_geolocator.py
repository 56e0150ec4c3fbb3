"""Fine-tune the geolocator, launched by Accelerate."""

from homing.jobs import job
from homing.training.stage import run_stage

with job(snakemake):
    run_stage("homing.training.finetune", snakemake)
