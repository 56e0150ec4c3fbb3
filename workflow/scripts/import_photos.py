"""Join the parts of a photo collection into one table, its shards and their index."""

from homing.config.configuration import resolve
from homing.importing.collect import collect_photos
from homing.jobs.job import job

with job(snakemake) as config:
    collect_photos(
        snakemake.input.candidates,
        snakemake.input.rejected,
        snakemake.input.parts,
        dict(snakemake.output.items()),
        views=config["dataset"].get("views", 1),
        max_rejected_share=resolve(snakemake.config)["max_rejected_share"],  # a check: it changes no result,
    )
