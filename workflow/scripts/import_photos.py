"""Read, check and shard a photo collection."""

from homing import config as configuration
from homing.jobs import job
from homing.photos.collect import import_photos

with job(snakemake) as config:
    dataset = dict(config["datasets"][snakemake.wildcards.dataset])
    if dataset.get("images"):
        dataset["images"] = configuration.expand_path(config, dataset["images"])
    import_photos(
        dataset,
        snakemake.input.files if isinstance(snakemake.input.files, list) else [snakemake.input.files],
        config["shards"],
        dict(snakemake.output.items()),
        config["max_rejected_share"],
        snakemake.threads,
    )
