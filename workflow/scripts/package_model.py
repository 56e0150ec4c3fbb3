"""Package everything that `homing predict` needs in one folder."""

from pathlib import Path

import geopandas as gpd

from homing import tables
from homing.files import atomic_path, read_json
from homing.jobs.job import job
from homing.package.assemble import Parts, assemble
from homing.package.card import describe, headline_figures
from homing.report.sources import sources_of

with job(snakemake) as config:
    files, run = snakemake.input, snakemake.wildcards.run
    provenance = read_json(files.provenance)
    photos = tables.read(files.photos, "photos", columns=["photo_id", "author"])
    photos = photos.merge(tables.read(files.splits, "splits"), on="photo_id", validate="1:1")
    sources = sources_of(provenance["config"], [read_json(path) for path in files.manifests])
    leaks = read_json(files.counts) if files.get("counts") else None
    about = {
        "run": run,
        "refine": config["refine"] | read_json(files.fitted),
        "calibration": {"temperature": read_json(files.calibration)["temperature"]},
        "summary": headline_figures(read_json(files.summary)),
        "provenance": provenance,
        "card": describe(run, photos, read_json(files.metrics), sources, provenance, leaks),
    }
    parts = Parts(Path(files.model), Path(files.encoder), Path(files.index), Path(files.hierarchy))
    with atomic_path(snakemake.output.package) as folder:
        assemble(folder, parts, gpd.read_parquet(files.geocells), about)
