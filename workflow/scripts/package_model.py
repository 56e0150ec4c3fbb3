"""Put everything `homing predict` needs into one folder."""

from pathlib import Path

import geopandas as gpd

from homing import tables
from homing.files import atomic_path, read_json
from homing.jobs.job import job
from homing.package.assemble import Parts, assemble
from homing.package.card import describe
from homing.report.sources import sources_of

with job(snakemake) as config:
    files, run = snakemake.input, snakemake.wildcards.run
    summary, provenance = read_json(files.summary), read_json(files.provenance)
    photos = tables.read(files.photos, "photos", columns=["photo_id", "author"])
    photos = photos.merge(tables.read(files.splits, "splits"), on="photo_id", validate="1:1")
    sources = sources_of(provenance["config"], [read_json(path) for path in files.manifests])
    leaks = read_json(files.counts) if files.get("counts") else None
    about = {
        "run": run,
        "refine": config["refine"] | read_json(files.fitted),
        "calibration": {"temperature": read_json(files.calibration)["temperature"]},
        "summary": {name: value for name, value in summary.items() if "km" in name or "geocell" in name}
        | {"n_test": summary["n_test"]},
        "provenance": provenance,
        "card": describe(run, photos, read_json(files.metrics), sources, provenance, leaks),
    }
    parts = Parts(Path(files.model), Path(files.encoder), Path(files.index), Path(files.hierarchy))
    with atomic_path(snakemake.output.package) as folder:
        assemble(folder, parts, gpd.read_parquet(files.geocells), about)
