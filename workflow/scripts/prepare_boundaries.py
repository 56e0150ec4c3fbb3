"""Read the administrative areas of a GADM-like source into one table."""

from pathlib import Path

from homing.files import atomic_path
from homing.jobs import job
from homing.labels.boundaries import read_areas

with job(snakemake):
    areas = read_areas([Path(path) for path in snakemake.input.files])
    with atomic_path(snakemake.output.areas) as partial:
        areas.to_parquet(partial)
