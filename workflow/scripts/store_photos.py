"""Check and shard the images of one part of a photo collection."""

from pathlib import Path

from homing.importing.adapters import adapter_for
from homing.importing.store import store_part
from homing.jobs.job import job

with job(snakemake) as config:
    part, parts = int(snakemake.wildcards.part), int(snakemake.wildcards.parts)
    store_part(
        adapter_for(config["dataset"], [Path(file) for file in snakemake.input.get("files", [])]),
        config["dataset"],
        config["shards"],
        candidates=snakemake.input.candidates,
        part=(part, parts),
        output=snakemake.output.part,
        workspace=f"results/checkpoints/store_photos/{snakemake.wildcards.dataset}",
        threads=snakemake.threads,
    )
