"""Validate the rows of a photo collection and locate their images."""

from pathlib import Path

from homing.importing.adapters import adapter_for
from homing.importing.candidates import list_candidates
from homing.jobs.job import job

with job(snakemake) as config:
    files = [Path(file) for file in snakemake.input.get("files", [])]
    list_candidates(
        adapter_for(config["dataset"], files),
        config["dataset"],
        files,
        snakemake.output.candidates,
        snakemake.output.rejected,
    )
