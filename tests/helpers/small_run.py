"""A finished run in little: tables, figures and pictures, as the rules write them, without any training."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from PIL import Image

from homing import tables
from homing.evaluate.geocells import score_geocells
from homing.evaluate.measures import score
from homing.evaluate.stages import photos_in_cells, stage_metrics
from homing.files import write_json
from homing.geocells.quality import measure, per_cell
from homing.photos.images import encode_jpeg
from homing.photos.shards import ShardReader, ShardWriter, member_name
from homing.report.geocells import Cells
from homing.report.inputs import Inputs

COUNTRIES = {"ALP": "Alpha", "BET": "<Beta>", "GAM": "Gamma"}
KEPT = 4
TASKS = {"accuracy": ("climate", "month"), "rmse": ("temperature", "precipitation", "elevation", "population"),
         "mean_km": ("latitude", "longitude")}  # fmt: skip
RADII_KM = (1, 25, 200, 750, 2500)


def make_cells() -> gpd.GeoDataFrame:
    """Four boxes of ten degrees in each country, side by side."""
    rows = []
    for number, code in enumerate(COUNTRIES):
        for cell in range(4):
            west, south = -120 + 90 * number + 10 * (cell % 2), -40 + 30 * number + 10 * (cell // 2)
            rows.append((code, COUNTRIES[code], f"{code} region {cell}", west, south))
    frame = pd.DataFrame(rows, columns=["country", "country_name", "region", "west", "south"])
    frame["cell_id"] = np.arange(len(frame), dtype=np.int32)
    frame["name"], frame["photos"] = [f"cell {number}" for number in frame["cell_id"]], 20
    frame["area_ids"] = [[f"a{number}"] for number in frame["cell_id"]]
    frame["latitude"], frame["longitude"] = frame["south"] + 5.0, frame["west"] + 5.0
    frame["area_km2"], frame["radius_km"] = 1e6, 500.0
    shapes = shapely.box(frame["west"], frame["south"], frame["west"] + 10, frame["south"] + 10)
    return gpd.GeoDataFrame(frame.drop(columns=["west", "south"]), geometry=shapes, crs="EPSG:4326")


def make_photos(cells: gpd.GeoDataFrame, count: int = 90) -> pd.DataFrame:
    """Photos within the cells, their labels, every second one of them for testing."""
    rng = np.random.default_rng(1)
    photos = cells.loc[rng.integers(0, len(cells), count), ["cell_id", "country", "country_name", "region"]]
    centroids = cells.set_index("cell_id").loc[photos["cell_id"], ["latitude", "longitude"]].to_numpy()
    photos[["latitude", "longitude"]] = centroids + rng.uniform(-4.9, 4.9, (count, 2))
    photos["photo_id"], photos["author"] = [f"p{n}" for n in range(count)], [f"author {n // 2}" for n in range(count)]
    photos["split"] = np.where(np.arange(count) % 2, "train", "test")
    photos["licence"], photos["source_url"] = "CC BY <4.0>", "https://example.org/photo"
    photos["area_id"] = [f"a{cell}" for cell in photos["cell_id"]]
    return photos.reset_index(drop=True)


def make_predictions(truth: pd.DataFrame, train: pd.DataFrame, cells: gpd.GeoDataFrame, right: float) -> pd.DataFrame:
    """Ranked cells, the true one first in a share `right` of the photos; each answers with its first training photo."""
    rng = np.random.default_rng(2)
    firsts = train.drop_duplicates("cell_id").set_index("cell_id")
    rows = []
    for photo in truth.itertuples():
        ranked = rng.permutation(cells["cell_id"])
        if rng.random() < right:
            ranked = np.concatenate([[photo.cell_id], ranked[ranked != photo.cell_id]])
        probability = np.sort(rng.dirichlet(np.ones(KEPT + 1)))[::-1]
        for rank, cell in enumerate(ranked[:KEPT]):
            place = firsts.loc[cell]
            rows.append((photo.photo_id, rank, place["latitude"], place["longitude"], cell, probability[rank]))
    return pd.DataFrame(rows, columns=["photo_id", "rank", "latitude", "longitude", "cell_id", "probability"])


def write_pictures(folder: Path, photo_ids: list[str]) -> ShardReader:
    """A shard of small pictures."""
    (folder / "shards").mkdir(parents=True)
    shard, rows = ShardWriter(folder / "shards/000000.tar"), []
    for number, photo_id in enumerate(photo_ids):
        picture = encode_jpeg(Image.new("RGB", (32, 32), (5 * number % 256, 120, 60)), 32, 80)
        rows.append((photo_id, 0, "000000.tar", shard.add(member_name(photo_id, 0, 1), picture), len(picture)))
    shard.close()
    index = pd.DataFrame(rows, columns=["photo_id", "view", "shard", "offset", "bytes"])
    tables.write(folder / "index.parquet", index, "index")
    return ShardReader(folder / "shards", folder / "index.parquet")


def make_run(folder: Path, right: float = 0.6) -> Inputs:
    """What the page of the run is made of; `right` is the share of photos whose cell the classifier finds."""
    cells = make_cells()
    photos = make_photos(cells)
    truth, train = (photos[photos["split"] == split].reset_index(drop=True) for split in ("test", "train"))
    table = make_predictions(truth, train, cells, right)
    constant = table[table["rank"] == 0].assign(latitude=10.0, longitude=20.0)
    readouts = {"classifier": table, "refined": table, "constant": constant, "thumbnail": constant.iloc[:0]}
    named = {name: rows.assign(country=cells["country"].to_numpy()[rows["cell_id"]]) for name, rows in readouts.items()}
    assignments = photos[["photo_id", "cell_id"]]
    points = photos_in_cells(train.drop(columns="cell_id"), assignments)
    metrics = {
        "n": len(truth),
        "readouts": score(truth, {name: rows for name, rows in named.items() if len(rows)}, RADII_KM, 0),
        "geocell": {"cells": len(cells)} | score_geocells(table, assignments, len(cells)),
        **stage_metrics(truth, table, cells, assignments, {"photo": points}, KEPT, RADII_KM, 0),
        "tasks": {task: {"metric": metric, metric: 0.5, "baseline": 0.7, "better": metric != "accuracy", "n": 9}
                  for metric, tasks in TASKS.items() for task in tasks},
    }  # fmt: skip
    settings = {"method": "semantic", "max_radius_km": None, "min_photos": 2, "max_photos": 60}
    areas = cells[["country", "geometry"]].assign(area_id=[f"a{n}" for n in cells["cell_id"]], region_id=None)
    quality = measure(areas, cells, [], photos, train, settings)
    config = {
        "run": "small", "run_dataset": "toy", "variants": {}, "seed": 1, "evaluate": {"benchmarks": []},
        "geocells": {"dataset": None}, "datasets": {"toy": {"adapter": "mp16", "source": "toy/1"}},
    }  # fmt: skip
    loss = [{"step": step, "epoch": 0, "loss": 1 / step, "loss.cell": 0.5 / step, "photos_per_second": 9.0,
             "waiting_share": 0.1} for step in range(1, 9)]  # fmt: skip
    return Inputs(
        truth=truth[["photo_id", "latitude", "longitude", "country", "country_name", "region"]],
        predictions=readouts,
        cells=Cells(cells, per_cell(cells, photos), quality, []),
        members=train[["photo_id", "latitude", "longitude"]],
        credits=photos.set_index("photo_id")[["author", "licence", "source_url"]],
        reader=write_pictures(folder / "results/photos/toy", photos["photo_id"].tolist()),
        summary={"run": "small", "n_test": len(truth), "geocells": len(cells), "refined_median_km": 1.0,
                 "median_km": 2.0, "constant_guess_median_km": 3.0, "geocell_accuracy": 0.5, "geocell_chance": 0.1,
                 "seconds.make_geocells": 12.0, "peak_mb.make_geocells": 300},
        variants=[],
        metrics={"test": metrics},
        provenance={"config": config, "versions": {"python": "3.11"}, "git_commit": "abc"},
        histories={"pretrain": loss, "finetune": loss[:5]},
        captions=["A street in Alpha."],
        manifests=[{"dataset": "toy", "version": "1", "licence": "CC0", "sha256": "0" * 64}],
    )  # fmt: skip


def write_run(folder: Path, name: str, inputs: Inputs, table: pd.DataFrame, tested: list[str], **changes) -> Path:
    """The files of a run that `homing compare` reads; changes: of its configuration."""
    run = folder / "results/runs" / name
    photos = folder / "results/photos/toy/photos.parquet"
    if not photos.exists():
        places = inputs.truth[["photo_id", "latitude", "longitude"]].assign(views=1)
        places["author"] = inputs.credits["author"].loc[places["photo_id"]].to_numpy()
        tables.write(photos, places, "photos")
    splits = inputs.truth[["photo_id"]].assign(split=np.where(inputs.truth["photo_id"].isin(tested), "test", "train"))
    tables.write(run / "splits.parquet", splits, "splits")
    tables.write(run / "predictions/test/refined.parquet", table[table["photo_id"].isin(tested)], "predictions")
    config = inputs.config | {"run": name} | changes
    write_json(run / "provenance.json", dict(inputs.provenance) | {"config": config})
    return run
