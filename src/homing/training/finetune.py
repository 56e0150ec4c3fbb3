"""Fine-tuning: geocells and the eight auxiliary tasks. `python -m homing.training.finetune SPEC`"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from homing import tables
from homing.embeddings import read_embeddings
from homing.files import atomic_path
from homing.model.clip import CLIPVisionModel, embed, freeze_below, load_vision
from homing.model.geolocator import (
    TASKS,
    GeoHeads,
    Geolocator,
    LabelScales,
    known_tasks,
    make_targets,
    save_geolocator,
    task_losses,
)
from homing.model.images import Preprocessing, normalise
from homing.model.losses import haversine_km
from homing.photos.shards import ShardReader
from homing.training.distributed import gather, world
from homing.training.images import Images
from homing.training.order import Batch, local_slice
from homing.training.start import Spec, main

VALIDATION_BATCH = 256


class Classifier(nn.Module):
    """Heads on a vision tower, or on cached embeddings when there is no tower."""

    def __init__(self, vision: CLIPVisionModel | None, heads: GeoHeads, pooling: str) -> None:
        super().__init__()
        self.vision, self.heads, self.pooling = vision, heads, pooling

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return self.heads(inputs if self.vision is None else embed(self.vision, inputs, self.pooling))


class PhotoInputs:
    """Photos as normalised pixels, augmented in training."""

    def __init__(self, images: Images, preprocessing: Preprocessing) -> None:
        self.images, self.preprocessing = images, preprocessing

    def load(self, items: np.ndarray, epoch: int | None) -> Tensor:
        return self.images.batch(items, epoch)

    def prepare(self, loaded: Tensor) -> Tensor:
        return normalise(loaded, self.preprocessing)


class VectorInputs:
    """Photos as cached embeddings."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def load(self, items: np.ndarray, epoch: int | None) -> Tensor:
        return torch.from_numpy(self.vectors[items])

    def prepare(self, loaded: Tensor) -> Tensor:
        return loaded.float()


class Finetuning:
    """The fine-tuning stage. train and val are (inputs, targets); cells has latitude and longitude of the centroids."""

    compares = False

    def __init__(
        self,
        module: Classifier,
        train: tuple[Any, dict[str, Tensor]],
        val: tuple[Any, dict[str, Tensor]],
        cells: dict[str, Tensor],
        settings: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.module, self.settings, self.device = module, settings, device
        self.inputs, self.targets = train[0], {name: value.to(device) for name, value in train[1].items()}
        self.val_inputs, self.val_targets = val[0], {name: value.to(device) for name, value in val[1].items()}
        self.cells = {name: value.to(device) for name, value in cells.items()}
        self.photos = len(self.targets["cell"])
        self.known = known_tasks(self.targets)
        self.weights = {task: settings["weights"][task] for task in ("cell", *TASKS)}

    def load(self, batch: Batch) -> tuple[Tensor]:
        return (self.inputs.load(batch.items, batch.epoch),)

    def forward(self, module: nn.Module, inputs: tuple[Tensor]) -> dict[str, Tensor]:
        return module(self.inputs.prepare(inputs[0]))

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        rows = torch.from_numpy(batch.all_items[batch.all_real]).to(self.device)
        return {task: mask[rows].sum() for task, mask in self.known.items()}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        rows = torch.from_numpy(batch.items).to(self.device)
        targets = {name: value[rows] for name, value in self.targets.items()}
        real = torch.from_numpy(batch.real).to(self.device)
        per_photo = task_losses(outputs, targets, self.cells, self.settings)
        return {task: torch.where(real, loss, 0.0).sum() for task, (loss, _) in per_photo.items()}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Median distance of the best cell's centroid, and cell accuracy; every validation photo counts once."""
        photos = len(self.val_targets["cell"])
        items, real = local_slice(np.arange(photos), *world())
        best = []
        for start in range(0, len(items), VALIDATION_BATCH):
            loaded = self.val_inputs.load(items[start : start + VALIDATION_BATCH], None).to(self.device)
            best.append(module(self.val_inputs.prepare(loaded))["cell"].argmax(dim=1))
        predicted = gather(torch.cat(best))[gather(torch.from_numpy(real).to(self.device))]
        targets = self.val_targets
        away = haversine_km(
            self.cells["latitude"][predicted],
            self.cells["longitude"][predicted],
            targets["latitude"],
            targets["longitude"],
        )
        accuracy = (predicted == targets["cell"]).float().mean()
        median = float(away.median())
        return {"val_median_km": median, "val_cell_accuracy": float(accuracy), "score": median}

    def after_step(self) -> None:
        """Nothing is clamped."""


def prepare(spec: Spec, device: torch.device) -> Finetuning:
    """The stage of a spec: the tables, shards or cached embeddings it names."""
    settings, paths = spec["settings"], spec["inputs"]
    frame, source = read_photos(paths)
    train, val = (frame[frame["split"] == split].reset_index(drop=True) for split in ("train", "val"))
    labels, assignments = tables.read(paths["labels"], "labels"), tables.read(paths["assignments"], "assignments")
    cells = pd.read_parquet(paths["geocells"], columns=["cell_id", "latitude", "longitude"])
    scales = LabelScales.fit(labels[labels["photo_id"].isin(train["photo_id"])])
    vision, preprocessing = load_vision(paths["encoder"])
    trained = settings["finetune"]["trainable"] != "heads"
    pooling = settings["model"]["pooling"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec["seed"])
        heads = GeoHeads(vision.config.hidden_size, len(cells))
    if trained:
        freeze_below(vision, settings["finetune"]["trainable"], settings["finetune"]["last_layers"])
    module = Classifier(vision if trained else None, heads, pooling)
    parts = []
    for photos, augment in ((train, settings["finetune"]["augment"]), (val, False)):
        if trained:
            images = Images(source, photos["photo_id"], preprocessing.side, augment, spec["seed"], spec["threads"])
            inputs = PhotoInputs(images, preprocessing)
        else:
            inputs = VectorInputs(source[photos["row"].to_numpy()])
        parts.append((inputs, make_targets(photos, labels, assignments, scales)))
    centroids = {name: torch.tensor(cells[name].to_numpy()) for name in ("latitude", "longitude")}
    stage = Finetuning(module, parts[0], parts[1], centroids, settings["finetune"], device)
    stage.saved = Geolocator(heads, scales, cells, pooling, preprocessing, vision if trained else None)
    return stage


def read_photos(paths: Mapping[str, str]) -> tuple[pd.DataFrame, Any]:
    """The photos with split, ordered by photo_id, and what their inputs are read from: shards or cached embeddings."""
    photos = tables.read(paths["photos"], "photos", columns=["photo_id", "latitude", "longitude"])
    frame = photos.merge(tables.read(paths["splits"], "splits"), on="photo_id", validate="1:1").sort_values("photo_id")
    if "vectors" in paths:
        ids, vectors = read_embeddings(paths["vectors"], paths["photo_ids"])
        frame = frame.merge(ids.to_frame().assign(row=np.arange(len(ids))), on="photo_id", validate="1:1")
        return frame.sort_values("photo_id"), vectors
    reader = ShardReader(paths["shards"], paths["index"])
    return frame[[name in reader for name in frame["photo_id"]]], reader


def finish(stage: Finetuning, spec: Mapping[str, Any]) -> None:
    """Save heads, scales, cells, and the tower when it was trained."""
    saved = copy.copy(stage.saved)
    with atomic_path(spec["outputs"]["model"]) as folder:
        save_geolocator(folder, saved, vision_trained=saved.vision is not None)


if __name__ == "__main__":
    main(prepare, finish, "finetune")
