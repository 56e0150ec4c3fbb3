"""The geolocator: geocells and eight auxiliary tasks on top of an embedding.

The eight tasks are climate, month, temperature, precipitation, elevation, population density, latitude and longitude.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from homing.files import read_json, write_json
from homing.model.clip import CLIPVisionModel, embed, load_vision
from homing.model.images import Preprocessing, normalise
from homing.model.losses import haversine_km, smoothed_cross_entropy, smoothed_targets
from homing.scales import REGRESSIONS, LabelScales

TASKS = ("climate", "month", "temperature", "precipitation", "elevation", "population", "latitude", "longitude")
CLIMATES, MONTHS = 30, 12
KM_PER_UNIT = 1000.0  # the haversine losses are in thousands of km, so that their size is that of the others


def make_targets(
    photos: pd.DataFrame, labels: pd.DataFrame, assignments: pd.DataFrame, scales: LabelScales
) -> dict[str, Tensor]:
    """Targets of the photos in their order: classes (-1 where missing), coordinates, standardised values (NaN)."""
    joined = photos[["photo_id", "latitude", "longitude"]].merge(labels, on="photo_id", how="left", validate="1:1")
    joined = joined.merge(assignments, on="photo_id", how="left", validate="1:1")
    classes = {"cell": joined["cell_id"], "climate": joined["climate"] - 1, "month": joined["month"] - 1}
    targets = {name: torch.tensor(column.fillna(-1).to_numpy(dtype=np.int64)) for name, column in classes.items()}
    for name in ("latitude", "longitude"):
        targets[name] = torch.tensor(joined[name].to_numpy(dtype=np.float64)).float()
    columns = [scales.standardise(name, joined[name].to_numpy(dtype=np.float64)) for name in REGRESSIONS]
    targets["regression"] = torch.tensor(np.stack(columns, axis=1)).float()
    return targets


def known_tasks(targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mask (n,) of "cell" and each of the eight tasks: which photos have that label."""
    everywhere = torch.ones_like(targets["cell"], dtype=torch.bool)
    known = {task: targets[task] >= 0 for task in ("cell", "climate", "month")}
    for column, (_, task) in enumerate(REGRESSIONS.values()):
        known[task] = known.get(task, ~everywhere) | ~targets["regression"][:, column].isnan()
    return known | {"latitude": everywhere, "longitude": everywhere}


class GeoHeads(nn.Module):
    """One linear layer per task on an embedding of `dimension`: `cells` geocells and the eight auxiliary tasks."""

    def __init__(self, dimension: int, cells: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dimension)
        self.cell = nn.Linear(dimension, cells)
        self.climate = nn.Linear(dimension, CLIMATES)
        self.month = nn.Linear(dimension, MONTHS)
        self.regression = nn.Linear(dimension, len(REGRESSIONS))
        self.direction = nn.Linear(dimension, 3)

    def forward(self, vectors: Tensor) -> dict[str, Tensor]:
        """Embeddings (n, d), or (n, views, d) which are averaged, to logits, standardised values and coordinates."""
        vectors = self.norm((vectors.mean(dim=1) if vectors.dim() == 3 else vectors).float())
        x, y, z = functional.normalize(self.direction(vectors), dim=1, eps=1e-6).unbind(dim=1)
        return {
            "cell": self.cell(vectors),
            "climate": self.climate(vectors),
            "month": self.month(vectors),
            "regression": self.regression(vectors),
            "latitude": torch.rad2deg(torch.asin(z.clamp(-1 + 1e-6, 1 - 1e-6))),
            "longitude": torch.rad2deg(torch.atan2(y, x)),
        }


def task_losses(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    cells: Mapping[str, Tensor],
    settings: Mapping[str, Any],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Loss (n,) and mask (n,) of "cell" and each of the eight tasks; where the mask is false the loss is 0.

    cells: latitude and longitude (C,) of the centroids; settings: the `finetune` configuration.
    """
    latitude, longitude = targets["latitude"], targets["longitude"]
    known_cell = targets["cell"] >= 0
    true_cell = targets["cell"].clamp(min=0)
    smoothed = smoothed_targets(
        cells["latitude"], cells["longitude"], latitude, longitude, true_cell, settings["tau_km"], settings["smoothing"]
    )
    losses = {"cell": (smoothed_cross_entropy(outputs["cell"], smoothed), known_cell)}
    for task in ("climate", "month"):
        target = targets[task]
        losses[task] = (
            functional.cross_entropy(outputs[task].float(), target.clamp(min=0), reduction="none"),
            target >= 0,
        )
    losses |= _regression_losses(outputs["regression"], targets["regression"])
    everywhere = torch.ones_like(known_cell)
    losses["latitude"] = (haversine_km(outputs["latitude"], longitude, latitude, longitude) / KM_PER_UNIT, everywhere)
    losses["longitude"] = (haversine_km(latitude, outputs["longitude"], latitude, longitude) / KM_PER_UNIT, everywhere)
    return {task: (torch.where(mask, loss, 0.0), mask) for task, (loss, mask) in losses.items()}


def _regression_losses(predicted: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Squared errors, averaged over the columns of each task that are known."""
    known = ~target.isnan()
    squared = torch.where(known, predicted.float() - target.nan_to_num(), 0.0).square()
    losses = {}
    for task in dict.fromkeys(task for _, task in REGRESSIONS.values()):
        columns = [index for index, (_, owner) in enumerate(REGRESSIONS.values()) if owner == task]
        count = known[:, columns].sum(dim=1)
        losses[task] = (squared[:, columns].sum(dim=1) / count.clamp(min=1), count > 0)
    return losses


@dataclass
class Geolocator:
    """A trained geolocator: heads, the scales of their targets, the cells, and the encoder where it is needed."""

    heads: GeoHeads
    scales: LabelScales
    cells: pd.DataFrame
    pooling: str
    preprocessing: Preprocessing
    vision: CLIPVisionModel | None = None

    @torch.inference_mode()
    def embed(self, batch: Tensor) -> np.ndarray:
        """Embeddings (n, d), float32, of images uint8 (n, 3, s, s)."""
        device = next(self.vision.parameters()).device
        return embed(self.vision, normalise(batch.to(device), self.preprocessing), self.pooling).cpu().numpy()

    @torch.inference_mode()
    def predict_vectors(self, vectors: np.ndarray, batch: int = 4096) -> dict[str, np.ndarray]:
        """Predictions of embeddings (n, d): cell probabilities (n, C), classes, values in their units, coordinates."""
        device = next(self.heads.parameters()).device
        parts = []
        for start in range(0, len(vectors), batch):
            chunk = torch.from_numpy(np.asarray(vectors[start : start + batch], dtype=np.float32)).to(device)
            parts.append({name: value.float().cpu().numpy() for name, value in self.heads(chunk).items()})
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
        if not outputs:
            return {}
        predictions = {
            "cell_probability": torch.softmax(torch.from_numpy(outputs["cell"]), dim=1).numpy(),
            "climate": outputs["climate"].argmax(axis=1) + 1,
            "month": outputs["month"].argmax(axis=1) + 1,
            "latitude": outputs["latitude"],
            "longitude": np.where(outputs["longitude"] >= 180, -180, outputs["longitude"]),
        }
        for index, column in enumerate(REGRESSIONS):
            predictions[column] = self.scales.restore(column, outputs["regression"][:, index].astype(np.float64))
        return predictions


def save_geolocator(folder: str | Path, geolocator: Geolocator, vision_trained: bool) -> None:
    """Write heads, scales, cells and preprocessing, and the vision tower when fine-tuning changed it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    heads, scales = geolocator.heads, geolocator.scales
    save_file({name: value.contiguous() for name, value in heads.state_dict().items()}, folder / "heads.safetensors")
    description = {
        "format": 1,
        "dimension": heads.cell.in_features,
        "cells": heads.cell.out_features,
        "pooling": geolocator.pooling,
        "tasks": list(TASKS),
        "scales": {"mean": scales.mean, "std": scales.std},
        "vision_trained": vision_trained,
    }
    write_json(folder / "geolocator.json", description)
    geolocator.cells.to_parquet(folder / "cells.parquet", index=False)
    geolocator.preprocessing.save(folder)
    if vision_trained:
        geolocator.vision.save_pretrained(folder / "vision")
        geolocator.preprocessing.save(folder / "vision")


def load_geolocator(folder: str | Path, encoder: str | Path | None = None, tower: bool = True) -> Geolocator:
    """Read a folder of `save_geolocator`. `encoder` is the pretrained folder, used when the tower was not changed;
    without it, or with `tower` false, the geolocator answers embeddings only."""
    folder = Path(folder)
    description = read_json(folder / "geolocator.json")
    heads = GeoHeads(description["dimension"], description["cells"])
    heads.load_state_dict(load_file(folder / "heads.safetensors"))
    source = folder / "vision" if description["vision_trained"] else encoder
    vision = load_vision(source)[0].eval() if source and tower else None
    return Geolocator(
        heads=heads.eval(),
        scales=LabelScales(**description["scales"]),
        cells=pd.read_parquet(folder / "cells.parquet"),
        pooling=description["pooling"],
        preprocessing=Preprocessing.load(folder),
        vision=vision,
    )
