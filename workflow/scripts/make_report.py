"""Write the report of a run."""

import json
from pathlib import Path

import geopandas as gpd

from homing import tables
from homing.files import atomic_path, read_json
from homing.geocells.quality import per_cell
from homing.jobs import job
from homing.photos.shards import ShardReader
from homing.photos.splits import in_set
from homing.report.geocells import Cells
from homing.report.report import Inputs, render_report

with job(snakemake):
    files = snakemake.input
    tested = in_set(tables.read(files.splits, "splits"), "test")
    photos = tables.read(files.photos, "photos", columns=["photo_id", "latitude", "longitude"])
    assigned = photos.merge(tables.read(files.assignments, "assignments"), on="photo_id", validate="1:1")
    photos = photos[photos["photo_id"].isin(tested)].reset_index(drop=True)
    cells = gpd.read_parquet(files.geocells)
    labels = tables.read(files.labels, "labels", columns=["photo_id", "region", "country_name"])

    def history(path: str) -> list[dict]:
        return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]

    page = render_report(
        Inputs(
            truth=photos.merge(labels, on="photo_id", how="left", validate="1:1"),
            predictions={
                name: tables.read(files[name], "predictions")
                for name in ("refined", "geocell", "thumbnail", "constant")
            },
            cells=Cells(
                cells, per_cell(cells, assigned), read_json(files.quality), read_json(files.comparison)["partitions"]
            ),
            reader=ShardReader(files.shards, files.index),
            summary=read_json(files.summary),
            variants=[read_json(path) for path in files.variants],
            metrics={Path(path).stem: read_json(path) for path in files.metrics},
            provenance=read_json(files.provenance),
            histories={"pretrain": history(files.pretrain_history), "finetune": history(files.finetune_history)},
            captions=Path(files.captions).read_text(encoding="utf-8").splitlines(),
            manifests=[read_json(path) for path in files.manifests],
        )
    )
    with atomic_path(snakemake.output.report) as partial:
        partial.write_text(page, encoding="utf-8")
