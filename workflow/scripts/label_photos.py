"""Label every photo of a data set."""

from homing.jobs.job import job
from homing.labels.label import label_photos, lookups_of
from homing.labels.rasters import LABELS

with job(snakemake) as config:
    label_photos(
        photos=snakemake.input.photos,
        areas=snakemake.input.areas,
        lookups=lookups_of(snakemake.input.grid, {name: snakemake.input[name] for name in LABELS}, config["labels"]),
        driving_side=snakemake.input.driving_side[0],
        output=snakemake.output.labels,
        agreement_csv=snakemake.output.agreement,
        cache=f"results/checkpoints/labels/{snakemake.wildcards.dataset}.parquet",
        tiles=snakemake.input.get("tiles", []),
        workers=snakemake.threads,
        memory_mb=snakemake.resources.mem_mb,
    )
