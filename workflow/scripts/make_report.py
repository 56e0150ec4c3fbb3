"""Write the report of a run."""

import json
from pathlib import Path

import geopandas as gpd
import pandas as pd

from homing import tables
from homing.files import atomic_path, read_json
from homing.geocells.quality import per_cell
from homing.jobs.job import job
from homing.photos.shards import ShardReader
from homing.photos.splits import in_set
from homing.report.charts import COLOURS
from homing.report.geocells import Cells
from homing.report.inputs import Inputs
from homing.report.report import render_report

PHOTO = ["photo_id", "latitude", "longitude", "author", "licence", "source_url"]
LABELS = ["photo_id", "country", "country_name", "region"]

with job(snakemake):
    files = snakemake.input
    tested = in_set(tables.read(files.splits, "splits"), "test")
    photos = tables.read(files.photos, "photos", columns=PHOTO)
    assigned = photos[PHOTO[:3]].merge(tables.read(files.assignments, "assignments"), on="photo_id", validate="1:1")
    truth = photos.loc[photos["photo_id"].isin(tested), PHOTO[:3]]
    cells = gpd.read_parquet(files.geocells)
    quality, comparison = read_json(files.quality), read_json(files.comparison)

    def history(path: str) -> list[dict]:
        return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]

    page = render_report(
        Inputs(
            truth=truth.merge(tables.read(files.labels, "labels", LABELS), on="photo_id", how="left", validate="1:1"),
            predictions={name: tables.read(files[name], "predictions") for name in COLOURS},
            cells=Cells(cells, per_cell(cells, assigned), quality, comparison["partitions"]),
            members=pd.read_parquet(Path(files.refine_index) / "members.parquet", columns=PHOTO[:3]),
            credits=photos.set_index("photo_id")[PHOTO[3:]],
            reader=ShardReader(files.shards, files.index),
            summary=read_json(files.summary),
            variants=[read_json(path) for path in files.variants],
            metrics={Path(path).stem: read_json(path) for path in files.metrics},
            provenance=read_json(files.provenance),
            histories={"pretrain": history(files.pretrain_history), "finetune": history(files.finetune_history)},
            captions=Path(files.preview).read_text(encoding="utf-8").splitlines(),
            manifests=[read_json(path) for path in files.manifests],
        )
    )
    with atomic_path(snakemake.output.report) as partial:
        partial.write_text(page, encoding="utf-8")
