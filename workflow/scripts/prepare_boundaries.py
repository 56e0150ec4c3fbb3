"""Read the administrative areas of a source into one table, and the grid they are looked up in."""

from pathlib import Path

from homing.files import atomic_path
from homing.jobs.job import job
from homing.labels.boundaries import read_areas
from homing.labels.grid import Grid

with job(snakemake):
    areas = read_areas([Path(path) for path in snakemake.input.files])
    with atomic_path(snakemake.output.areas) as partial:
        areas.to_parquet(partial)
    with atomic_path(snakemake.output.grid) as partial:
        Grid.of(areas.geometry.to_numpy()).save(partial)
