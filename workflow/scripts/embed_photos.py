"""Embed every photo of a data set, launched by Accelerate."""

from homing.jobs.job import job
from homing.training.embed import embed_photos

with job(snakemake):
    embed_photos(snakemake)
