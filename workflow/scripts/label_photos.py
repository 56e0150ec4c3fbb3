"""Label every photo of a data set."""

from homing.jobs import job
from homing.labels.label import NAMES, label_photos

with job(snakemake) as config:
    label_photos(
        photos=snakemake.input.photos,
        areas=snakemake.input.areas,
        rasters={name: list(snakemake.input[name]) for name in NAMES},
        driving_side=snakemake.input.driving_side[0],
        settings=config["labels"],
        output=snakemake.output.labels,
        agreement_csv=snakemake.output.agreement,
        workers=snakemake.threads,
        memory_mb=snakemake.resources.mem_mb,
    )
