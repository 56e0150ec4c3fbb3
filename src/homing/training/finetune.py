"""Fine-tuning on geocells and the eight auxiliary tasks. `python -m homing.training.finetune SPEC`"""

from collections.abc import Callable, Mapping, Sequence
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
from homing.training.data.images import ImageLoader, sample_patches
from homing.training.data.prefetch import prefetch
from homing.training.data.sampler import Batch, local_slice
from homing.training.data.vectors import EmbeddingInputs
from homing.training.distributed import gather, rank, world_size
from homing.training.protocol import Inputs
from homing.training.worker import Spec, main

VALIDATION_BATCH = 256

InputLoader = Callable[[np.ndarray, int | None], Inputs]  # of items, and the epoch in training
Data = tuple[InputLoader, dict[str, Tensor]]  # inputs and targets of a split


class ImageInputs:
    """Photos as images; in training they are augmented, and patches are dropped."""

    def __init__(self, images: ImageLoader, patches: int, patch_dropout: float) -> None:
        self.images, self.patches, self.patch_dropout = images, patches, patch_dropout

    def __call__(self, items: np.ndarray, epoch: int | None) -> Inputs:
        """Return images, and in training the kept patches (n, k) if some are dropped."""
        pixels = self.images.batch(items, epoch)
        if epoch is None or not self.patch_dropout:
            return (pixels,)
        photo_ids = [self.images.photo_ids[item] for item in items]
        kept = sample_patches(self.patches, self.patch_dropout, self.images.seed, epoch, photo_ids)
        return (pixels,) if kept is None else (pixels, kept)


class Finetuning:
    """The fine-tuning stage. levels: see `hierarchy_loss`; geolocator: what `finish` saves, with the same heads."""

    compares = False

    def __init__(
        self,
        module: Classifier,
        train: Data,
        val: Data,
        cells: SmoothedCells,
        levels: Sequence[Tensor],
        settings: Mapping[str, Any],
        device: torch.device,
        geolocator: Geolocator,
    ) -> None:
        self.module, self.settings, self.device, self.geolocator = module, settings, device, geolocator
        self.inputs, self.targets = train[0], {name: value.to(device) for name, value in train[1].items()}
        self.val_inputs, self.val_targets = val[0], {name: value.to(device) for name, value in val[1].items()}
        self.cells, self.levels = cells.to(device), [nodes.to(device) for nodes in levels]
        self.photos = len(self.targets["cell"])
        self.known = known_tasks(self.targets)
        self.weights = {task: settings["weights"][task] for task in ("cell", *TASKS)}
        if levels:
            self.weights["hierarchy"] = settings["weights"]["hierarchy"]

    def load(self, batch: Batch) -> Inputs:
        """Return images or embeddings of the own items, and kept patches if some are dropped."""
        return self.inputs(batch.items, batch.epoch)

    def forward(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        """Return the outputs of the heads."""
        return module(*inputs)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Return per task the number of photos of the global batch that have a label."""
        rows = torch.from_numpy(batch.all_items[batch.all_real]).to(self.device)
        return {task: self.known[task][rows].sum() for task in self.weights}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return per task the sum of the losses of the own photos."""
        rows, real = (torch.from_numpy(part).to(self.device) for part in (batch.items, batch.real))
        targets = {name: value[rows] for name, value in self.targets.items()}
        per_photo = task_losses(outputs, targets, self.cells, self.levels)
        return {task: torch.where(real, per_photo[task], 0.0).sum() for task in self.weights}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Return the median error of the best cell's centroid in km, which is the score, and the cell accuracy."""
        photos = len(self.val_targets["cell"])
        items, real = local_slice(np.arange(photos), rank(), world_size())
        chunks = np.split(items, range(VALIDATION_BATCH, len(items), VALIDATION_BATCH))
        best_n = []
        for _, inputs, _ in prefetch(lambda chunk: self.val_inputs(chunk, None), chunks):
            best_n.append(module(*(value.to(self.device) for value in inputs))["cell"].argmax(dim=1))
        predicted = gather(torch.cat(best_n))[gather(torch.from_numpy(real).to(self.device))]
        truth = unit_vectors(self.val_targets["latitude"], self.val_targets["longitude"])
        median = float(distances_km(self.cells.vectors[predicted], truth).median())
        accuracy = (predicted == self.val_targets["cell"]).float().mean()
        return {"val_median_km": median, "val_cell_accuracy": float(accuracy), "score": median}

    def after_step(self) -> None:
        """Nothing is clamped."""


def prepare(spec: Spec, device: torch.device) -> Finetuning:
    """Build the stage from the tables, and the shards or cached embeddings, that a spec names."""
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
    train_data, val_data = (
        (read_inputs(photos, source, trained, spec, training), make_targets(photos, labels, assignments, scales))
        for photos, training in ((train, True), (val, False))
    )
    latitude, longitude = (torch.tensor(cells[name].to_numpy()) for name in ("latitude", "longitude"))
    smoothed = SmoothedCells(latitude, longitude, finetune["tau_km"], finetune["smoothing"])
    levels = read_levels(Path(paths["hierarchy"]), cells["cell_id"]) if finetune["weights"]["hierarchy"] else []
    classifier = Classifier(trained, heads, pooling)
    geolocator = Geolocator(heads, scales, cells, pooling, encoder.preprocessing, trained)
    return Finetuning(classifier, train_data, val_data, smoothed, levels, finetune, device, geolocator)


def read_inputs(
    photos: pd.DataFrame, source: Any, encoder: ImageEncoder | None, spec: Spec, training: bool
) -> ImageInputs | EmbeddingInputs:
    """Return the loader of inputs: images if an encoder is trained, else cached embeddings."""
    if encoder is None:
        return EmbeddingInputs(source[photos["row"].to_numpy()])
    finetune = spec["settings"]["finetune"]
    images = ImageLoader(
        source,
        photos["photo_id"],
        encoder.preprocessing.side,
        augment=training and finetune["augment"],
        seed=spec["seed"],
        threads=spec["threads"],
        views=source.views,
    )
    return ImageInputs(images, encoder.patches, finetune["patch_dropout"] if training else 0)


def read_photos(paths: Mapping[str, str]) -> tuple[pd.DataFrame, Any]:
    """Return the photos with their split, ordered by photo_id, and the shards or cached embeddings of their inputs."""
    photos = tables.read(paths["photos"], "photos", columns=["photo_id", "latitude", "longitude"])
    frame = photos.merge(tables.read(paths["splits"], "splits"), on="photo_id", validate="1:1").sort_values("photo_id")
    if "vectors" in paths:
        ids, vectors = read_embeddings(paths["vectors"], paths["photo_ids"])
        frame = frame.merge(ids.to_frame().assign(row=np.arange(len(ids))), on="photo_id", validate="1:1")
        return frame.sort_values("photo_id"), vectors
    reader = ShardReader(paths["shards"], paths["index"])
    return frame[reader.rows(frame["photo_id"]) >= 0], reader


def read_levels(path: Path, cell_ids: Sequence[int]) -> list[Tensor]:
    """Return the node (C,) of each cell at each level above the cells, finest level first. Raises HomingError."""
    if not path.is_file():
        raise HomingError(f"{path}: missing, and finetune.weights.hierarchy needs it; make the geocells again")
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
    """Save the geolocator, with the encoder if it was trained."""
    with atomic_path(spec["outputs"]["model"]) as folder:
        save_geolocator(folder, stage.geolocator, encoder_included=stage.geolocator.encoder is not None)


if __name__ == "__main__":
    main(prepare, finish, "finetune")
