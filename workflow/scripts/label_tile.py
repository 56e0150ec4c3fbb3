"""Look up the photos of one stretch of the globe, for label_photos."""

from homing.jobs.job import job
from homing.labels.label import label_tile, lookups_of
from homing.labels.rasters import LABELS

with job(snakemake) as config:
    label_tile(
        photos=snakemake.input.photos,
        lookups=lookups_of(snakemake.input.grid, {name: snakemake.input[name] for name in LABELS}, config["labels"]),
        output=snakemake.output.measured,
        cache=f"results/checkpoints/labels/{snakemake.wildcards.dataset}.parquet",
        tile=int(snakemake.wildcards.tile),
        tiles=int(snakemake.wildcards.tiles),
        workers=snakemake.threads,
        memory_mb=snakemake.resources.mem_mb,
    )
