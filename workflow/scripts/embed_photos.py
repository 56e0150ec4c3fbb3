"""Embed every photo of a data set."""

from homing.jobs import job
from homing.training.embed import embed_photos

with job(snakemake) as config:
    embed_photos(
        dict(snakemake.input.items()),
        snakemake.input.model,
        config["model"]["pooling"],
        dict(snakemake.output.items()),
        snakemake.threads,
    )
