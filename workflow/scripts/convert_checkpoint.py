"""Keep the weights of a retrieved encoder as safetensors."""

from pathlib import Path

from homing.jobs.job import job
from homing.model.convert import convert_checkpoint

with job(snakemake):
    convert_checkpoint(Path(snakemake.input.files[0]).parent, snakemake.output.folder)
