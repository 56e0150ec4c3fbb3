"""A small world to train on, written as the rules write it, and trainings in processes that start at once."""

import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file
from small_import import import_photos

from homing import tables
from homing.captions.clues import write_clues
from homing.errors import HomingError
from homing.files import write_json
from homing.model.clip import build_clip
from homing.tasks import TASKS
from homing.training.checkpoint import Checkpoints
from homing.training.launch.processes import error_file, read_error

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
PHOTOS = 41  # the last batch is smaller, and no number of processes divides it


def write_world(folder: Path) -> dict[str, str]:
    """Photos, labels, splits, captions, geocells and assignments of a small world, as the rules write them."""
    folder.mkdir(exist_ok=True)
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
    settings = {"max_side": 64, "max_megapixels": 10, "shard_megabytes": 0.03, "quality": 90}
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
    build_clip(MODEL, ["A photo I took in the region of region 1 in Alpha."], 5).save(encoder)
    return paths | {"encoder": str(encoder)}


def make_spec(inputs: Mapping[str, str], folder: Path, stage: str, **more: Any) -> dict[str, Any]:
    """A spec as `homing.training.launch.job` writes it, for a training in `folder`; `more` replaces its entries."""
    settings = {"seed": 5, "model": MODEL, "captions": CAPTIONS, "pretrain": PRETRAIN, "finetune": FINETUNE}
    spec = {
        "path": str(folder / "spec.json"), "launch": "one", "stage": stage, "inputs": dict(inputs),
        "settings": settings, "seed": 5, "fingerprint": "f", "provenance": {},
        "outputs": {"model": str(folder / "model"), "history": str(folder / "history.jsonl")},
        "checkpoints": str(folder / "checkpoints"), "checkpoints_kept": 2, "checkpoint_minutes": 1000,
        "stop_at": time.time() + 1e6, "micro_batch": None, "threads": 1, "torch_threads": 1, "trackers": [],
        "reports": str(folder / "tensorboard"),
    }  # fmt: skip
    return spec | more


@dataclass(frozen=True)
class Trained:
    """What came of a training; without weights and history when it did not finish."""

    status: int
    error: str
    weights: dict[str, torch.Tensor]
    history: list[dict[str, Any]]

    @property
    def losses(self) -> list[float]:
        return [row["loss"] for row in self.history if "loss" in row]


def train(
    inputs: Mapping[str, str], folder: Path, stage: str, processes: int = 1, run: Callable | None = None, **more: Any
) -> Trained:
    """Train a stage as a launcher does it, in processes of its own; `run` in the place of `run_module`."""
    folder.mkdir(exist_ok=True)
    spec = make_spec(inputs, folder, stage, **more)
    write_json(folder / "spec.json", spec)
    error_file(spec).unlink(missing_ok=True)
    statuses = run_processes(run or run_module, processes, stage, folder / "spec.json", folder / "log.txt")
    return outcome(folder, stage, max(statuses, key=abs))


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a training's folder."""
    return Checkpoints(folder / "checkpoints").steps()


def outcome(folder: Path, stage: str, status: int) -> Trained:
    """What a training has left in its folder."""
    if status:
        return Trained(status, str(error_of(folder) or ""), {}, [])
    names = ["heads.safetensors", "encoder/model.safetensors"] if stage == "finetune" else ["model.safetensors"]
    names = [name for name in names if (folder / "model" / name).exists()]
    weights = {f"{name}:{key}": value for name in names for key, value in load_file(folder / "model" / name).items()}
    lines = (folder / "history.jsonl").read_text().splitlines()
    return Trained(0, "", weights, [json.loads(line) for line in lines])


def error_of(folder: Path) -> HomingError | None:
    """What the training in a folder has told its launcher."""
    return read_error(make_spec({}, folder, ""))


def run_module(stage: str, spec: Path, log: Path) -> None:
    """`python -m homing.training.<stage> spec`, in this process, its output added to a log."""
    from homing.training import finetune, pretrain, worker

    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["", str(spec)]
    module = {"pretrain": pretrain, "finetune": finetune}[stage]
    worker.main(module.prepare, module.finish, stage)


def run_processes(function, processes: int, *arguments: Any) -> list[int]:
    """Run function(*arguments) in so many processes that talk to each other; returns their exit statuses.

    They are forked from a server that has the libraries loaded: each starts in a moment. Here the server is their
    parent, so that they outlive nothing.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_world", "homing.training.pretrain", "homing.training.finetune"])
    port = free_port()
    started = [
        context.Process(target=_as_process, args=(number, processes, port, function, arguments))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    while any(process.is_alive() for process in started):
        time.sleep(0.01)
        if any(process.exitcode for process in started):
            for process in started:  # as a launcher: one that has failed leaves the others waiting for it
                process.join(5)
                process.kill()
    return [process.exitcode for process in started]


def _as_process(number: int, processes: int, port: int, function, arguments: tuple) -> None:
    os.environ |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    if processes > 1:
        os.environ |= {
            "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
    torch.set_num_threads(1)
    function(*arguments)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
