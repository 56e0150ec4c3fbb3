"""A model package as the rule package_model makes it, of an untrained model with six cells in three countries."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import torch

from homing import tables
from homing.files import atomic_path
from homing.model.encoders import load_encoder
from homing.model.geolocator import GeoHeads, Geolocator, save_geolocator
from homing.package.assemble import Parts, assemble
from homing.package.card import describe
from homing.refine.index import build_index
from homing.tasks import REGRESSIONS, LabelScales

MODEL = {
    "pretrained": None, "revision": None, "image_side": 16, "patch": 8, "width": 16, "layers": 1, "heads": 2,
    "text_width": 16, "text_layers": 1, "projection": 8, "vocabulary": 300,
}  # fmt: skip
CELLS, PHOTOS = 6, 60
SETTINGS = {
    "top_cells": 3, "temperature": 0.2, "max_move_km": None, "mode_radius_km": 500.0, "score_radius_km": None,
    "hierarchy_weight": 0.5, "gate_similarity": -1.0,
}  # fmt: skip
METRICS = {
    "n": 1234, "geocell": {"cells": CELLS},
    "readouts": {
        name: {"median_km": 321.5 + extra, "geoscore": 2345.6 - extra, "within_25_km": 0.1234,
               "country_accuracy": 0.875, "per_country": {"AAA": {}},
               "interval_95": {"median_km": [300.25, 350.75], "within_25_km": [0.1, 0.15]}}
        for name, extra in (("classifier", 0), ("refined", 7), ("constant", 5000))
    },
}  # fmt: skip
CONFIG = {
    "run_dataset": "tiny", "model": {"pretrained": None, "source": None}, "geocells": {"method": "semantic"},
    "splits": {"method": "random"}, "embed": {"mixed_precision": "no"},
}  # fmt: skip


def make_cells() -> gpd.GeoDataFrame:
    """Six squares of two degrees; the last has a single photo, the others 15 or fewer."""
    corners = np.random.default_rng(0).uniform(-50, 50, (CELLS, 2)).round()
    photos = make_photos(corners).groupby("cell_id").size()
    return gpd.GeoDataFrame(
        {"cell_id": range(CELLS), "name": [f"area {n}" for n in range(CELLS)],
         "region": [f"region {n // 2}" for n in range(CELLS)],
         "country": ["AAA", "AAA", "NAM", "NAM", "CCC", "CCC"], "country_name": ["A"] * 2 + ["Namibia"] * 2 + ["C"] * 2,
         "photos": photos.to_numpy(), "area_km2": np.arange(1, CELLS + 1) * 1000.0, "latitude": corners[:, 0] + 0.7,
         "longitude": corners[:, 1] + 0.9},
        geometry=[shapely.box(east, north, east + 2, north + 2) for north, east in corners], crs="EPSG:4326",
    )  # fmt: skip


def make_photos(corners: np.ndarray) -> pd.DataFrame:
    """Training photos with coordinates that no rounding hits by chance."""
    cell_id = np.where(np.arange(PHOTOS) == 59, 5, np.arange(PHOTOS) % (CELLS - 1))
    photos = pd.DataFrame({"photo_id": [f"secret{n}" for n in range(PHOTOS)], "cell_id": cell_id})
    inside = np.random.default_rng(1).uniform(0.013, 1.987, (PHOTOS, 2))
    return photos.assign(latitude=corners[cell_id, 0] + inside[:, 0], longitude=corners[cell_id, 1] + inside[:, 1])


def make_hierarchy(cells: gpd.GeoDataFrame) -> pd.DataFrame:
    """Countries over cells."""
    countries = pd.DataFrame({"level": 0, "name": ["A", "Namibia", "C"], "node": range(3), "parent": pd.NA})
    leaves = pd.DataFrame(
        {"level": 1, "name": cells["name"], "node": cells["cell_id"], "parent": cells["cell_id"] // 2}
    )
    return pd.concat([countries, leaves], ignore_index=True).assign(latitude=1.2345678, longitude=2.0, photos=1)


def make_package(folder: Path, pooling: str = "mean", calibration: float | None = None) -> Path:
    """The package, of the encoder in folder/encoder."""
    encoder = load_encoder(folder / "encoder")
    torch.manual_seed(1)
    cells = make_cells()
    corners = np.floor(cells[["latitude", "longitude"]].to_numpy())
    centroids = pd.DataFrame(cells[["cell_id", "latitude", "longitude"]])
    scales = LabelScales(dict.fromkeys(REGRESSIONS, 0.0), dict.fromkeys(REGRESSIONS, 1.0))
    heads = GeoHeads(16, CELLS)
    torch.nn.init.normal_(heads.cell.weight, 0, 0.4)
    save_geolocator(
        folder / "finetuned", Geolocator(heads, scales, centroids, pooling, encoder.preprocessing, encoder), True
    )
    photos = make_photos(corners)
    build_index(photos, np.random.default_rng(2).normal(size=(PHOTOS, 16)), [3, 0.15]).save(folder / "index")
    tables.write(folder / "hierarchy.parquet", make_hierarchy(cells), "hierarchy")
    provenance = {"versions": {"homing": "0"}, "git_commit": "0123456789abcdef", "config": CONFIG}
    split = pd.DataFrame({"photo_id": list("abcd"), "split": ["train", "train", "test", "test"],
                          "author": ["ann", "bob", "ann", "eve"]})  # fmt: skip
    sources = [{"name": "toy photos", "licence": "CC0"}]
    about = {
        "run": "tiny", "refine": SETTINGS, "summary": {"median_km": 321.5}, "provenance": provenance,
        "calibration": {"temperature": calibration} if calibration else None,
        "card": describe("tiny", split, METRICS, sources, provenance),
    }  # fmt: skip
    parts = Parts(folder / "finetuned", folder / "encoder", folder / "index", folder / "hierarchy.parquet")
    with atomic_path(folder / "model") as partial:
        assemble(partial, parts, cells, about)
    return folder / "model"
