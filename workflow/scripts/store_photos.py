"""Check and shard the images of one part of a photo collection."""

from pathlib import Path

from homing.jobs import job
from homing.photos.adapters import adapter_for
from homing.photos.store import store_part

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
