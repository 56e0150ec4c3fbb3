"""Retrieve one raw file, verified, with a manifest beside it."""

from pathlib import Path

from homing.config.configuration import resolve
from homing.jobs.job import job
from homing.sources.retrieve import RetrievalSettings, retrieve
from homing.sources.table import read_sources, source_row

TERMS = {"mirror": "mirror", "link_mirror": "link_mirror", "accept_licences": "accept_licences", "lock": "sources_lock"}

with job(snakemake):
    wanted, config = snakemake.wildcards, resolve(snakemake.config)
    repository = Path(snakemake.scriptdir).parents[1]
    sources = read_sources(repository / "config/sources.csv")
    retrieve(
        row=source_row(sources, f"{wanted.dataset}/{wanted.version}", wanted.file),
        output=snakemake.output.file,
        manifest=snakemake.output.manifest,
        settings=RetrievalSettings(**{name: config[key] for name, key in TERMS.items()}, repository=repository),
        generated=snakemake.input[0] if snakemake.input else None,
    )
