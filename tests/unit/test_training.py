"""Training: data order, checkpoints, and the same weights whether unbroken, resumed, or on several processes."""

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from homing import tables
from homing.captions.clues import write_clues
from homing.errors import HomingError
from homing.files import write_json
from homing.model.clip import build_clip, save_clip
from homing.model.geolocator import load_geolocator
from homing.photos.importing import import_photos
from homing.sphere import haversine_km
from homing.training.checkpoint import Checkpoints
from homing.training.launch import Sizes, launch, launch_command
from homing.training.optimiser import learning_rate
from homing.training.order import Order, local_slice

MODEL = {
    "pretrained": None, "revision": None, "image_side": 16, "patch": 8, "width": 16, "layers": 2, "heads": 2,
    "text_width": 16, "text_layers": 1, "projection": 8, "vocabulary": 300, "pooling": "mean",
}  # fmt: skip
COMMON = {
    "epochs": 3, "global_batch": 12, "learning_rate": 0.01, "warmup_share": 0.1, "weight_decay": 0.01,
    "betas": [0.9, 0.98], "epsilon": 1e-6, "gradient_clip": 1.0, "mixed_precision": "no",
}  # fmt: skip
PRETRAIN = COMMON | {
    "enabled": True, "loss": "infonce", "same_place_km": 1, "patch_dropout": 0, "compile": False,
}  # fmt: skip
TASKS = ("climate", "month", "temperature", "precipitation", "elevation", "population", "latitude", "longitude")
FINETUNE = COMMON | {
    "trainable": "last", "last_layers": 1, "tau_km": 65, "smoothing": "normalised", "schedule": "linear",
    "augment": True, "patch_dropout": 0, "weights": {"cell": 1.0, "hierarchy": 0} | dict.fromkeys(TASKS, 0.3),
}  # fmt: skip
CAPTIONS = {
    "location": 1,
    "climate": 0.45,
    "driving_side": 0.2,
    "month": 0.2,
    "season": 0.1,
    "heading": 0.2,
    "drop_location": 0.2,
}
ONE = Sizes(nodes=1, processes=1, gpus=0, cores=1)
PHOTOS = 41  # the last batch is smaller, and no number of processes divides it


def test_an_epoch_has_each_photo_once_in_another_order():
    order = Order(photos=103, global_batch=10, seed=3)
    epochs = [np.concatenate([order.batch(epoch, step) for step in range(order.steps_per_epoch)]) for epoch in (0, 1)]
    assert all(sorted(epoch) == list(range(103)) for epoch in epochs)
    assert (epochs[0] != epochs[1]).any()


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_slices_of_processes_make_up_the_batch(processes):
    batch = np.arange(100, 110)
    slices = [local_slice(batch, process, processes) for process in range(processes)]
    assert len({len(items) for items, _ in slices}) == 1
    items, real = (np.concatenate(part) for part in zip(*slices, strict=True))
    assert (items[real] == batch).all() and set(items) <= set(batch)


def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for step in (1, 2, 3):
        checkpoints.save(step, {"weight": torch.full((3,), float(step))}, {"step": step})
    assert checkpoints.steps() == [2, 3] and checkpoints.newest() == 3
    broken = tmp_path / "step-00000003/tensors.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1] + b"\xff")
    assert checkpoints.newest() == 2
    tensors, state = checkpoints.load(2)
    assert state == {"step": 2} and (tensors["weight"] == 2).all()
    (tmp_path / "step-00000002/sums.json").unlink()
    assert checkpoints.newest() is None


def test_the_last_checkpoints_are_kept_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, kept=2)
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 5)):
        checkpoints.save(step, {"weight": torch.zeros(1)}, {"best_step": best})
    assert checkpoints.steps() == [2, 4, 5]  # the best of step 4 too, if 5 turns out broken
    checkpoints.save(6, {"weight": torch.zeros(1)}, {"best_step": 5})
    assert checkpoints.steps() == [5, 6]


def test_the_learning_rate_warms_up_and_decays_to_nothing():
    settings = {"learning_rate": 1.0, "warmup_share": 0.1}
    rates = [learning_rate(settings, step, 100) for step in range(101)]
    assert rates[0] < 0.1 and max(rates) == 1.0 and rates[100] == 0
    assert np.diff(rates[:10]).min() > 0 and np.diff(rates[10:]).max() < 0
    assert learning_rate(settings | {"schedule": "constant"}, 99, 100) == 1.0


def test_several_nodes_need_slurm():
    with pytest.raises(HomingError, match="need SLURM"):
        launch_command("homing.training.finetune", Path("spec"), replace(ONE, nodes=2), job_id=None)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    """Photos, labels, splits, captions, geocells and assignments of a small world, as the rules write them."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    ids = [f"p{number:03d}" for number in range(PHOTOS + 10)]
    frame = pd.DataFrame({"id": ids, "lat": rng.uniform(-50, 50, len(ids)), "lon": rng.uniform(-170, 170, len(ids))})
    frame["file"] = frame["id"] + ".jpg"
    for name in frame["file"]:
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(folder / name)
    frame.to_csv(folder / "photos.csv", index=False)
    paths = {name: str(folder / f"{name}.parquet") for name in ("photos", "index", "rejected", "ledger")}
    paths |= {
        name: str(folder / f"{name}.parquet") for name in ("labels", "splits", "captions", "geocells", "assignments")
    }
    paths["shards"] = str(folder / "shards")
    settings = {"max_side": 64, "max_megapixels": 10, "shard_megabytes": 1, "quality": 90}
    dataset = {"adapter": "csv_folder", "images": str(folder)}
    import_photos(dataset, [folder / "photos.csv"], settings, paths, 0.0, 1)
    labels = pd.DataFrame(
        {"photo_id": ids, "country": "AAA", "country_name": "Alpha", "climate": rng.integers(1, 31, len(ids))}
    )
    labels["region"] = [f"region {number % 9}" for number in range(len(ids))]
    for column in ("temperature_c", "precipitation_mm", "elevation_m", "population_per_km2"):
        labels[column] = rng.uniform(0, 100, len(ids))
    labels["month"] = pd.array(rng.integers(1, 13, len(ids)), dtype="Int8")
    labels.loc[3, "month"] = None
    tables.write(paths["labels"], labels, "labels")
    split = ["train"] * PHOTOS + ["val"] * 10
    tables.write(paths["splits"], pd.DataFrame({"photo_id": ids, "split": split}), "splits")
    tables.write(
        paths["captions"],
        write_clues(tables.read(paths["photos"], "photos"), tables.read(paths["labels"], "labels")),
        "captions",
    )
    cells = pd.DataFrame(
        {"cell_id": range(7), "latitude": rng.uniform(-50, 50, 7), "longitude": rng.uniform(-170, 170, 7)}
    )
    cells.to_parquet(paths["geocells"])
    assigned = pd.DataFrame({"photo_id": ids, "cell_id": np.arange(len(ids)) % 7})
    tables.write(paths["assignments"], assigned, "assignments")
    encoder = folder / "pretrained"
    save_clip(encoder, build_clip(MODEL, ["A photo I took in the region of region 1 in Alpha."], 5))
    return paths | {"encoder": str(encoder)}


def train(
    inputs, folder: Path, stage: str, processes: int = 1, **more
) -> tuple[int, dict[str, torch.Tensor], list[dict]]:
    """Run a stage as the rule does; returns the status, the weights and the history (empty when it did not finish)."""
    spec = {
        "inputs": inputs, "outputs": {"model": str(folder / "model"), "history": str(folder / "history.jsonl")},
        "settings": {"seed": 5, "model": MODEL, "captions": CAPTIONS, "pretrain": PRETRAIN, "finetune": FINETUNE},
        "seed": 5, "stage": stage, "fingerprint": "f", "provenance": {}, "checkpoints": str(folder / "checkpoints"),
        "checkpoints_kept": 2, "checkpoint_minutes": 1000, "stop_at": time.time() + 1e6, "micro_batch": None, "threads": 1,
        "trackers": [], "reports": str(folder / "tensorboard"),
    }  # fmt: skip
    write_json(folder / "spec.json", spec | more)
    sizes = replace(ONE, processes=processes)
    command = launch_command(f"homing.training.{stage}", folder / "spec.json", sizes, job_id=None)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        return done.returncode, {}, []
    names = ["heads.safetensors", "vision/model.safetensors"] if stage == "finetune" else ["model.safetensors"]
    names = [name for name in names if (folder / "model" / name).exists()]
    weights = {f"{name}:{key}": value for name in names for key, value in load_file(folder / "model" / name).items()}
    lines = (folder / "history.jsonl").read_text().splitlines()
    return 0, weights, [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def unbroken(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return {stage: train(inputs, folder / stage, stage) for stage in ("pretrain", "finetune")} | {"folder": folder}


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_stage_lowers_its_loss_and_validates_each_epoch(unbroken, stage):
    status, _, history = unbroken[stage]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert status == 0 and len(losses) == 12  # 3 epochs of ceil(41 / 12) steps
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert sum(any(name.startswith("val_") for name in entry) for entry in history) == 3


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_stopped_in_the_middle_of_an_epoch_and_resumed_it_ends_with_the_same_bits(inputs, unbroken, tmp_path, stage):
    status, _, _ = train(inputs, tmp_path, stage, stop_after_steps=6)
    assert status == 1 and "stopped at step 6 of 12" in (tmp_path / "error.txt").read_text()
    assert not (tmp_path / "model").exists() and (tmp_path / "checkpoints/step-00000006").is_dir()
    status, weights, history = train(inputs, tmp_path, stage)
    assert status == 0
    for name, expected in unbroken[stage][1].items():
        assert torch.equal(weights[name], expected), name
    steps = [entry["loss"] for entry in history if "loss" in entry]
    assert steps == [entry["loss"] for entry in unbroken[stage][2] if "loss" in entry]


@pytest.mark.parametrize(("stage", "processes"), [("pretrain", 2), ("finetune", 3)])
def test_several_processes_train_what_one_trains(inputs, unbroken, tmp_path, stage, processes):
    status, weights, history = train(inputs, tmp_path, stage, processes)
    assert status == 0
    one, several = ([entry["loss"] for entry in rows if "loss" in entry] for rows in (unbroken[stage][2], history))
    np.testing.assert_allclose(several[:6], one[:6], rtol=1e-5, atol=1e-5)
    for name, expected in unbroken[stage][1].items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-2, atol=2e-3)


def test_a_finetuned_geolocator_answers(unbroken):
    geolocator = load_geolocator(unbroken["folder"] / "finetune/model")
    answers = geolocator.predict_vectors(geolocator.embed(torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)))
    np.testing.assert_allclose(answers["cell_probability"].sum(axis=1), 1, rtol=1e-5)
    assert answers["cell_probability"].shape == (3, 7)
    assert (answers["climate"] >= 1).all() and (answers["month"] <= 12).all()


def test_heads_alone_are_trained_on_cached_embeddings(inputs, tmp_path):
    """Read by photo_id, whatever the order of the rows; the encoder stays where it was."""
    rng = np.random.default_rng(9)
    photos = tables.read(inputs["photos"], "photos").sample(frac=1, random_state=1)
    ids, centres = photos["photo_id"], pd.read_parquet(inputs["geocells"])
    away = haversine_km(
        *photos[["latitude", "longitude"]].to_numpy().T[:, :, None], centres["latitude"], centres["longitude"]
    )
    cells = away.argmin(axis=1)  # an embedding tells the nearest cell, which is also what the smoothed targets say
    paths = {"vectors": str(tmp_path / "vectors.npy"), "photo_ids": str(tmp_path / "photo_ids.parquet")}
    assigned = pd.DataFrame({"photo_id": ids, "cell_id": cells})
    tables.write(tmp_path / "assignments.parquet", assigned, "assignments")
    paths["assignments"] = str(tmp_path / "assignments.parquet")
    np.save(paths["vectors"], (np.eye(7, 16)[cells] * 5 + rng.normal(0, 0.1, (len(ids), 16))).astype(np.float16))
    pd.DataFrame({"photo_id": ids}).to_parquet(paths["photo_ids"])
    heads = {"seed": 5, "model": MODEL, "finetune": FINETUNE | {"trainable": "heads", "epochs": 30}}
    assert train(inputs | paths, tmp_path, "finetune", settings=heads)[0] == 0
    assert not (tmp_path / "model/vision").exists()
    answers = load_geolocator(tmp_path / "model").predict_vectors(np.eye(7, 16) * 5)
    right = (answers["cell_probability"].argmax(axis=1)[cells] == cells).mean()
    commonest = np.bincount(cells).max() / len(cells)  # what rows read in a wrong order would reach
    assert right > 0.8 > 1.5 * commonest


def test_a_failing_stage_names_the_photo_and_launch_tells_of_it(inputs, tmp_path, caplog):
    caplog.set_level("INFO")
    shards = tmp_path / "shards"
    shards.mkdir()
    for path in Path(inputs["shards"]).iterdir():
        (shards / path.name).write_bytes(b"\0" * path.stat().st_size)
    assert train(inputs | {"shards": str(shards)}, tmp_path, "finetune")[0] == 1
    with pytest.raises(HomingError, match="ended with status 1"):
        launch("homing.training.finetune", tmp_path / "spec.json", ONE)
    assert "error: photo 'p0" in caplog.text and "import the photos again" in caplog.text
