"""Retrieve one raw file, verified, with a manifest beside it."""

from homing.jobs import job
from homing.sources.retrieve import retrieve

with job(snakemake) as config:
    retrieve(
        row=snakemake.params.row,
        output=snakemake.output.file,
        manifest=snakemake.output.manifest,
        mirror=config["mirror"],
        accept_licences=config["accept_licences"],
        generated=snakemake.input[0] if snakemake.input else None,
    )
