"""Parameters are fitted on validation photos only: the scripts of the rules, run on the tables of a small run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from homing import tables
from homing.model.geolocator import Geolocator, save_geolocator
from homing.model.heads import GeoHeads
from homing.model.images import Preprocessing
from homing.tasks import REGRESSIONS, LabelScales

ROOT = Path(__file__).resolve().parents[3]
CELLS, PHOTOS, DIMENSION = 6, 240, 8
REFINE = {
    "top_cells": 4, "temperature": None, "max_move_km": None, "objective": "mean_log", "mode_radius_km": None,
    "hierarchy_weight": None, "gate_similarity": None, "exclude_author": True, "optics": [3, 0.15],
}  # fmt: skip
NAMES = ("photos", "splits", "assignments", "hierarchy")
FILES = {name: f"{name}.parquet" for name in (*NAMES, "photo_ids")} | {"vectors": "vectors.npy", "model": "finetuned"}
STEPS = {  # as rules/refine.smk has them: what each rule adds, and the photo set where one is named
    "calibrate_classifier": ({"calibration": "calibration.json"}, None),
    "predict_photos": ({"classifier": "classifier.parquet", "tasks": "tasks.parquet"}, "val"),
    "build_refine_index": ({"index": "index"}, None),
    "fit_refinement": ({"fitted": "refine.json"}, None),
}
# Each script in a process of its own, which it ends; forked from one that has the libraries loaded.
RUN = """
import json, os, runpy, sys
from types import SimpleNamespace
import homing.model.geolocator, homing.optics
class Named(dict):
    __getattr__ = dict.__getitem__
for rule, script, files, output, photo_set, refine in json.loads(sys.argv[1]):
    snakemake = SimpleNamespace(
        input=Named(files), output=Named(output), log=[f"{rule}.log"], rule=rule,
        wildcards=SimpleNamespace(photo_set=photo_set), resources={"attempt": 1},
        params=SimpleNamespace(settings={"config": {"refine": refine, "seed": 1}}),
    )
    process = os.fork()
    if not process:
        runpy.run_path(script, {"snakemake": snakemake})
    if os.waitpid(process, 0)[1]:
        sys.exit(f"{rule} failed")
"""


def small_run(folder: Path) -> None:
    """Write photos of six cells, their embeddings, a weak classifier, and splits of all three kinds."""
    rng = np.random.default_rng(0)
    ids = [f"p{number:03d}" for number in range(PHOTOS)]
    cell = rng.integers(0, CELLS, PHOTOS)
    centroids = np.column_stack([rng.uniform(-50, 50, CELLS), rng.uniform(-150, 150, CELLS)])
    looks = rng.normal(size=(CELLS, DIMENSION))
    places = centroids[cell] + rng.normal(0, 2, (PHOTOS, 2))
    photos = pd.DataFrame({"photo_id": ids, "latitude": places[:, 0], "longitude": places[:, 1], "views": 1})
    tables.write(folder / "photos.parquet", photos.assign(author=[f"a{n // 3}" for n in range(PHOTOS)]), "photos")
    split = np.resize(["train", "train", "val", "test"], PHOTOS)
    tables.write(folder / "splits.parquet", pd.DataFrame({"photo_id": ids, "split": split}), "splits")
    tables.write(folder / "assignments.parquet", pd.DataFrame({"photo_id": ids, "cell_id": cell}), "assignments")
    nodes = pd.DataFrame({"level": [0] * 2 + [1] * CELLS, "node": [*range(2), *range(CELLS)]})
    nodes["parent"] = pd.array([None] * 2 + [0, 0, 0, 1, 1, 1], dtype="Int32")
    nodes = nodes.assign(name="n", latitude=0.0, longitude=0.0, photos=1)
    tables.write(folder / "hierarchy.parquet", nodes, "hierarchy")
    np.save(folder / "vectors.npy", (looks[cell] + rng.normal(0, 1, (PHOTOS, DIMENSION))).astype(np.float16))
    pd.DataFrame({"photo_id": ids}).to_parquet(folder / "photo_ids.parquet")
    torch.manual_seed(0)
    heads = GeoHeads(DIMENSION, CELLS)
    heads.cell.weight.data = heads.cell.weight.data.new_tensor(3 * looks)
    scales = LabelScales(dict.fromkeys(REGRESSIONS, 0.0), dict.fromkeys(REGRESSIONS, 1.0))
    cells = pd.DataFrame({"cell_id": range(CELLS), "latitude": centroids[:, 0], "longitude": centroids[:, 1]})
    save_geolocator(folder / "finetuned", Geolocator(heads, scales, cells, "mean", Preprocessing(16)), False)


def fitted(folder: Path) -> dict[str, bytes]:
    """Run the scripts of the rules in order, and return the fitted files."""
    files, jobs = {name: str(folder / path) for name, path in FILES.items()}, []
    for rule, (made, photo_set) in STEPS.items():
        output = {name: str(folder / path) for name, path in made.items()}
        jobs.append((rule, str(ROOT / f"workflow/scripts/{rule}.py"), files, output, photo_set, REFINE))
        files = files | output
    done = subprocess.run([sys.executable, "-c", RUN, json.dumps(jobs)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: (folder / name).read_bytes() for name in ("calibration.json", "refine.json")}


def spoil(folder: Path, photo_set: str) -> None:
    """Change the places, cells and embeddings of the photos of one set."""
    splits = tables.read(folder / "splits.parquet", "splits")
    chosen = (splits["split"] == photo_set).to_numpy()
    photos = tables.read(folder / "photos.parquet", "photos")
    photos.loc[chosen, "latitude"] *= -0.5
    tables.write(folder / "photos.parquet", photos, "photos")
    assignments = tables.read(folder / "assignments.parquet", "assignments")
    assignments.loc[chosen, "cell_id"] = (assignments.loc[chosen, "cell_id"] + 1) % CELLS
    tables.write(folder / "assignments.parquet", assignments, "assignments")
    vectors = np.load(folder / "vectors.npy")
    vectors[chosen] *= -1
    np.save(folder / "vectors.npy", vectors)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    small_run(folder)
    return fitted(folder)


@pytest.mark.parametrize("photo_set", ["test", "val"])
def test_temperatures_and_gates_see_validation_photos_alone(whole, tmp_path, photo_set):
    small_run(tmp_path)
    spoil(tmp_path, photo_set)
    again = fitted(tmp_path)
    for name in ("calibration.json", "refine.json"):
        assert (again[name] == whole[name]) == (photo_set == "test"), name
