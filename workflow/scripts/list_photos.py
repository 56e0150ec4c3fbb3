"""Judge the rows of a photo collection and find their images."""

from pathlib import Path

from homing.importing.adapters import adapter_for
from homing.importing.candidates import list_candidates
from homing.jobs.job import job

with job(snakemake) as config:
    files = [Path(file) for file in snakemake.input.get("files", [])]
    tables = [file for file in files if file.suffix in (".csv", ".tsv", ".txt", ".parquet")]
    list_candidates(
        adapter_for(config["dataset"], files),
        config["dataset"],
        snakemake.output.candidates,
        snakemake.output.rejected,
        table_bytes=sum(file.stat().st_size for file in tables),
    )
