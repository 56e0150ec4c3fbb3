"""The geolocator: the heads with what their answers mean, the encoder where it is needed, and its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from homing.files import read_json, write_json
from homing.model.heads import GeoHeads
from homing.model.images import Preprocessing, normalise
from homing.tasks import CLASS_TASKS, REGRESSIONS, TASKS, LabelScales

if TYPE_CHECKING:
    from homing.model.encoders import ImageEncoder


def make_targets(
    photos: pd.DataFrame, labels: pd.DataFrame, assignments: pd.DataFrame, scales: LabelScales
) -> dict[str, Tensor]:
    """Targets of the photos in their order: classes (-1 where missing), coordinates, standardised values (NaN)."""
    joined = photos[["photo_id", "latitude", "longitude"]].merge(labels, on="photo_id", how="left", validate="1:1")
    joined = joined.merge(assignments, on="photo_id", how="left", validate="1:1")
    classes = {"cell": joined["cell_id"]} | {task: joined[task] - 1 for task in CLASS_TASKS}
    targets = {name: torch.tensor(column.fillna(-1).to_numpy(dtype=np.int64)) for name, column in classes.items()}
    for name in ("latitude", "longitude"):
        targets[name] = torch.tensor(joined[name].to_numpy(dtype=np.float64)).float()
    columns = [scales.standardise(name, joined[name].to_numpy(dtype=np.float64)) for name in REGRESSIONS]
    targets["regression"] = torch.tensor(np.stack(columns, axis=1)).float()
    return targets


@dataclass
class Geolocator:
    """A trained geolocator: heads, the scales of their targets, the cells, and the encoder where it is needed."""

    heads: GeoHeads
    scales: LabelScales
    cells: pd.DataFrame
    pooling: str
    preprocessing: Preprocessing
    encoder: "ImageEncoder | None" = None

    @torch.inference_mode()
    def embed(self, batch: Tensor) -> np.ndarray:
        """Embeddings (n, d), float32, of images uint8 (n, 3, s, s), or of places in views (n, views, 3, s, s)."""
        device = next(self.encoder.parameters()).device
        return self.encoder(normalise(batch.to(device), self.preprocessing), self.pooling).cpu().numpy()

    @torch.inference_mode()
    def outputs(self, vectors: np.ndarray, batch: int = 4096) -> dict[str, np.ndarray]:
        """What the heads give for embeddings (n, d), float32, by task; of `cell` the logits (n, C). None: empty."""
        device = next(self.heads.parameters()).device
        parts = []
        for start in range(0, len(vectors), batch):
            chunk = torch.from_numpy(np.asarray(vectors[start : start + batch], dtype=np.float32)).to(device)
            parts.append({name: value.float().cpu().numpy() for name, value in self.heads(chunk).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def predict_vectors(self, vectors: np.ndarray, temperature: float = 1.0) -> dict[str, np.ndarray]:
        """Predictions of embeddings (n, d): cell probabilities (n, C), classes, values in their units, coordinates.

        temperature: of the softmax over the cells, fitted on validation photos.
        """
        outputs = self.outputs(vectors)
        if not outputs:
            return {}
        predictions = {
            "cell_probability": torch.softmax(torch.from_numpy(outputs["cell"]) / temperature, dim=1).numpy(),
            "latitude": outputs["latitude"],
            "longitude": np.where(outputs["longitude"] >= 180, -180, outputs["longitude"]),
        }
        predictions |= {task: outputs[task].argmax(axis=1) + 1 for task in CLASS_TASKS}
        for index, column in enumerate(REGRESSIONS):
            predictions[column] = self.scales.restore(column, outputs["regression"][:, index].astype(np.float64))
        return predictions


def save_geolocator(folder: str | Path, geolocator: Geolocator, encoder_included: bool) -> None:
    """Write heads, scales, cells and preprocessing, and the encoder if it is included (fine-tuning changed it)."""
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
        "encoder_included": encoder_included,
    }
    write_json(folder / "geolocator.json", description)
    geolocator.cells.to_parquet(folder / "cells.parquet", index=False)
    geolocator.preprocessing.save(folder)
    if encoder_included:
        geolocator.encoder.save(folder / "encoder")


def load_geolocator(folder: str | Path, pretrained: str | Path | None = None, heads_only: bool = False) -> Geolocator:
    """Read a folder of `save_geolocator`.

    pretrained: folder of the encoder to use if the geolocator does not include its own. Without an encoder, or with
    `heads_only`, the geolocator answers embeddings only.
    """
    folder = Path(folder)
    description = read_json(folder / "geolocator.json")
    heads = GeoHeads(description["dimension"], description["cells"])
    heads.load_state_dict(load_file(folder / "heads.safetensors"))
    source = folder / "encoder" if description["encoder_included"] else pretrained
    return Geolocator(
        heads=heads.eval(),
        scales=LabelScales(**description["scales"]),
        cells=pd.read_parquet(folder / "cells.parquet"),
        pooling=description["pooling"],
        preprocessing=Preprocessing.load(folder),
        encoder=_load_encoder(source) if source and not heads_only else None,
    )


def _load_encoder(source: str | Path) -> "ImageEncoder":
    from homing.model.encoders import load_encoder  # late: transformers takes seconds to import

    return load_encoder(source).eval()
