"""Retrieve one raw file, verified, with a manifest beside it."""

from pathlib import Path

from homing.jobs import job
from homing.sources.retrieve import Terms, retrieve
from homing.sources.table import read_sources, source_row

with job(snakemake):
    wanted, config = snakemake.wildcards, snakemake.config
    sources = read_sources(Path(snakemake.scriptdir).parents[1] / "config/sources.csv")
    retrieve(
        row=source_row(sources, f"{wanted.dataset}/{wanted.version}", wanted.file),
        output=snakemake.output.file,
        manifest=snakemake.output.manifest,
        terms=Terms(config["mirror"], config["link_mirror"], config["accept_licences"], config["sources_lock"]),
        generated=snakemake.input[0] if snakemake.input else None,
    )
