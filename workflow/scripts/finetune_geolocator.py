"""Fine-tune the geolocator, launched by Accelerate."""

from homing.jobs.job import job
from homing.training.launch.job import run_stage

with job(snakemake):
    run_stage("homing.training.finetune", snakemake)
