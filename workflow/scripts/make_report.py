"""Write the report of a run."""

from pathlib import Path

import geopandas as gpd
import pandas as pd

from homing import tables
from homing.files import atomic_path, read_json, read_json_lines
from homing.geocells.quality import per_cell
from homing.jobs.job import job
from homing.photos.shards import ShardReader
from homing.photos.splits import rows_in_set
from homing.report.charts import COLOURS
from homing.report.geocells import Cells
from homing.report.inputs import Inputs
from homing.report.report import render_report

PLACE, CREDIT = ["photo_id", "latitude", "longitude"], ["author", "licence", "source_url"]
LABELS = ["photo_id", "country", "country_name", "region"]

with job(snakemake):
    files = snakemake.input
    photos = tables.read(files.photos, "photos", columns=[*PLACE, *CREDIT])
    assigned = photos[PLACE].merge(tables.read(files.assignments, "assignments"), on="photo_id", validate="1:1")
    tested = rows_in_set(photos[PLACE], tables.read(files.splits, "splits"), "test")
    cells = gpd.read_parquet(files.geocells)

    inputs = Inputs(
        truth=tested.merge(tables.read(files.labels, "labels", LABELS), on="photo_id", how="left", validate="1:1"),
        predictions={name: tables.read(files[name], "predictions") for name in COLOURS},
        cells=Cells(
            cells, per_cell(cells, assigned), read_json(files.quality), read_json(files.comparison)["partitions"]
        ),
        members=pd.read_parquet(Path(files.refine_index) / "members.parquet", columns=PLACE),
        credits=photos.set_index("photo_id")[CREDIT],
        reader=ShardReader(files.shards, files.index),
        summary=read_json(files.summary),
        variants=[read_json(path) for path in files.variants],
        metrics={Path(path).stem: read_json(path) for path in files.metrics},
        provenance=read_json(files.provenance),
        histories={
            "pretrain": read_json_lines(files.pretrain_history),
            "finetune": read_json_lines(files.finetune_history),
        },
        captions=Path(files.preview).read_text(encoding="utf-8").splitlines(),
        manifests=[read_json(path) for path in files.manifests],
    )
    with atomic_path(snakemake.output.report) as partial:
        partial.write_text(render_report(inputs), encoding="utf-8")
