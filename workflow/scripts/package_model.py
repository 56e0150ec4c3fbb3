"""Put everything `homing predict` needs into one folder."""

from pathlib import Path

import geopandas as gpd

from homing.files import atomic_path, read_json
from homing.jobs import job
from homing.report.package import assemble

with job(snakemake) as config:
    files = snakemake.input
    about = {
        "run": snakemake.wildcards.run,
        "refine": config["refine"] | read_json(files.fitted),
        "calibration": {"temperature": read_json(files.calibration)["temperature"]},
        "summary": {
            name: value for name, value in read_json(files.summary).items() if "km" in name or "geocell" in name
        },
        "provenance": read_json(files.provenance),
    }
    about["summary"]["n_test"] = read_json(files.summary)["n_test"]
    with atomic_path(snakemake.output.package) as folder:
        assemble(
            folder, Path(files.model), Path(files.encoder), Path(files.index), gpd.read_parquet(files.geocells), about
        )
