"""Fine-tuning: geocells and the eight auxiliary tasks. `python -m homing.training.finetune SPEC`"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from homing import tables
from homing.embeddings import read_embeddings
from homing.errors import HomingError
from homing.files import atomic_path
from homing.model.encoders import ImageEncoder, load_encoder
from homing.model.geolocator import Geolocator, make_targets, save_geolocator
from homing.model.heads import Classifier, GeoHeads, known_tasks, task_losses
from homing.model.losses import distances_km, unit_vectors
from homing.model.smoothing import SmoothedCells
from homing.photos.shards import ShardReader
from homing.tasks import TASKS, LabelScales
from homing.training.data.images import Images, kept_patches
from homing.training.data.prefetch import load_ahead
from homing.training.data.sampler import Batch, local_slice
from homing.training.data.vectors import VectorInputs
from homing.training.distributed import gather, world
from homing.training.protocol import Inputs
from homing.training.worker import Spec, main

VALIDATION_BATCH = 256


class PhotoInputs:
    """Photos as images, augmented in training, and which of their patches are seen there."""

    def __init__(self, images: Images, patches: int, patch_dropout: float) -> None:
        self.images, self.patches, self.patch_dropout = images, patches, patch_dropout

    def __call__(self, items: np.ndarray, epoch: int | None) -> Inputs:
        pixels = self.images.batch(items, epoch)
        if epoch is None or not self.patch_dropout:
            return (pixels,)
        names = [self.images.photo_ids[item] for item in items]
        return pixels, kept_patches(self.patches, self.patch_dropout, self.images.seed, epoch, names)


class Finetuning:
    """The fine-tuning stage. train and val are (inputs, targets); levels are those of `hierarchy_loss`."""

    compares = False

    def __init__(
        self,
        module: Classifier,
        train: tuple[Any, dict[str, Tensor]],
        val: tuple[Any, dict[str, Tensor]],
        cells: SmoothedCells,
        levels: Sequence[Tensor],
        settings: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.module, self.settings, self.device = module, settings, device
        self.inputs, self.targets = train[0], {name: value.to(device) for name, value in train[1].items()}
        self.val_inputs, self.val_targets = val[0], {name: value.to(device) for name, value in val[1].items()}
        self.cells, self.levels = cells.to(device), [nodes.to(device) for nodes in levels]
        self.photos = len(self.targets["cell"])
        self.known = known_tasks(self.targets)
        self.weights = {task: settings["weights"][task] for task in ("cell", *TASKS)}
        if levels:
            self.weights["hierarchy"] = settings["weights"]["hierarchy"]

    def load(self, batch: Batch) -> Inputs:
        return self.inputs(batch.items, batch.epoch)

    def forward(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        return module(*inputs)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        rows = torch.from_numpy(batch.all_items[batch.all_real]).to(self.device)
        return {task: self.known[task][rows].sum() for task in self.weights}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        rows, real = (torch.from_numpy(part).to(self.device) for part in (batch.items, batch.real))
        targets = {name: value[rows] for name, value in self.targets.items()}
        per_photo = task_losses(outputs, targets, self.cells, self.levels)
        return {task: torch.where(real, per_photo[task], 0.0).sum() for task in self.weights}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Median distance of the best cell's centroid, and cell accuracy; every validation photo counts once."""
        photos = len(self.val_targets["cell"])
        items, real = local_slice(np.arange(photos), *world())
        chunks = np.split(items, range(VALIDATION_BATCH, len(items), VALIDATION_BATCH))
        best = []
        for _, inputs, _ in load_ahead(lambda chunk: self.val_inputs(chunk, None), chunks):
            best.append(module(*(value.to(self.device) for value in inputs))["cell"].argmax(dim=1))
        predicted = gather(torch.cat(best))[gather(torch.from_numpy(real).to(self.device))]
        truth = unit_vectors(self.val_targets["latitude"], self.val_targets["longitude"])
        median = float(distances_km(self.cells.vectors[predicted], truth).median())
        accuracy = (predicted == self.val_targets["cell"]).float().mean()
        return {"val_median_km": median, "val_cell_accuracy": float(accuracy), "score": median}

    def after_step(self) -> None:
        """Nothing is clamped."""


def prepare(spec: Spec, device: torch.device) -> Finetuning:
    """The stage of a spec: the tables, shards or cached embeddings it names."""
    settings, paths, finetune = spec["settings"], spec["inputs"], spec["settings"]["finetune"]
    frame, source = read_photos(paths)
    labels, assignments = tables.read(paths["labels"], "labels"), tables.read(paths["assignments"], "assignments")
    cells = pd.read_parquet(paths["geocells"], columns=["cell_id", "latitude", "longitude"])
    train, val = (frame[frame["split"] == split].reset_index(drop=True) for split in ("train", "val"))
    scales = LabelScales.fit(labels[labels["photo_id"].isin(train["photo_id"])])
    encoder, pooling = load_encoder(paths["encoder"]), settings["model"]["pooling"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec["seed"])
        heads = GeoHeads(encoder.width, len(cells))
    trained = None
    if finetune["trainable"] != "heads":
        encoder.freeze(finetune["trainable"], finetune.get("last_layers", 0), pooling)
        encoder.tune(finetune)
        trained = encoder
    parts = [
        (read_inputs(photos, source, trained, spec, training), make_targets(photos, labels, assignments, scales))
        for photos, training in ((train, True), (val, False))
    ]
    centroids = [torch.tensor(cells[name].to_numpy()) for name in ("latitude", "longitude")]
    smoothed = SmoothedCells(*centroids, finetune["tau_km"], finetune["smoothing"])
    levels = read_levels(Path(paths["hierarchy"]), cells["cell_id"]) if finetune["weights"]["hierarchy"] else []
    stage = Finetuning(Classifier(trained, heads, pooling), *parts, smoothed, levels, finetune, device)
    stage.saved = Geolocator(heads, scales, cells, pooling, encoder.preprocessing, trained)
    return stage


def read_inputs(
    photos: pd.DataFrame, source: Any, encoder: ImageEncoder | None, spec: Spec, training: bool
) -> PhotoInputs | VectorInputs:
    """What gives the inputs of some photos: their images for an encoder, or their cached embeddings."""
    if encoder is None:
        return VectorInputs(source[photos["row"].to_numpy()])
    finetune = spec["settings"]["finetune"]
    images = Images(
        source,
        photos["photo_id"],
        encoder.preprocessing.side,
        augment=training and finetune["augment"],
        seed=spec["seed"],
        threads=spec["threads"],
        views=source.views,
    )
    return PhotoInputs(images, encoder.patches, finetune["patch_dropout"] if training else 0)


def read_photos(paths: Mapping[str, str]) -> tuple[pd.DataFrame, Any]:
    """The photos with split, ordered by photo_id, and what their inputs are read from: shards or cached embeddings."""
    photos = tables.read(paths["photos"], "photos", columns=["photo_id", "latitude", "longitude"])
    frame = photos.merge(tables.read(paths["splits"], "splits"), on="photo_id", validate="1:1").sort_values("photo_id")
    if "vectors" in paths:
        ids, vectors = read_embeddings(paths["vectors"], paths["photo_ids"])
        frame = frame.merge(ids.to_frame().assign(row=np.arange(len(ids))), on="photo_id", validate="1:1")
        return frame.sort_values("photo_id"), vectors
    reader = ShardReader(paths["shards"], paths["index"])
    return frame[reader.rows(frame["photo_id"]) >= 0], reader


def read_levels(path: Path, cell_ids: Sequence[int]) -> list[Tensor]:
    """Per level above the cells in hierarchy.parquet the node (C,) of each cell, finest first. Raises HomingError."""
    if not path.is_file():
        raise HomingError(f"{path}: no such file, which finetune.weights.hierarchy needs; make the geocells again")
    table = pd.read_parquet(path, columns=["level", "node", "parent"])
    nodes, levels = np.asarray(cell_ids), []
    for level in range(int(table["level"].max()), 0, -1):
        parents = table[table["level"] == level].set_index("node")["parent"].reindex(nodes)
        if parents.isna().any():
            raise HomingError(f"{path}: level {level} has no parent of node {nodes[int(parents.isna().argmax())]}")
        nodes = parents.to_numpy(dtype=np.int64)
        levels.append(torch.from_numpy(nodes))
    return levels


def finish(stage: Finetuning, spec: Mapping[str, Any]) -> None:
    """Save heads, scales, cells, and the encoder when it was trained."""
    with atomic_path(spec["outputs"]["model"]) as folder:
        save_geolocator(folder, stage.saved, encoder_included=stage.saved.encoder is not None)


if __name__ == "__main__":
    main(prepare, finish, "finetune")
