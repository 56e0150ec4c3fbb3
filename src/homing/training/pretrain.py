"""Contrastive pretraining of CLIP on synthetic captions. `python -m homing.training.pretrain SPEC`"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from homing import tables
from homing.captions.sampling import photo_rng, sample_caption
from homing.files import atomic_path
from homing.model.clip import ClipParts, build_clip, save_clip
from homing.model.images import normalise
from homing.model.losses import contrastive_terms
from homing.photos.shards import ShardReader
from homing.sphere import km_to_chord, unit_vectors
from homing.training.distributed import gather
from homing.training.images import Images
from homing.training.loop import Batch
from homing.training.start import Spec, main

MAX_SCALE = math.log(100)  # CLIP's clamp of the learned temperature (Radford et al. 2021)
VALIDATED = 512  # photos; the loss depends on how many candidates there are


class TwoTowers(nn.Module):
    """Images and captions to unit vectors of the shared space, with the learned scale and bias of their products."""

    def __init__(self, parts: ClipParts, sigmoid: bool) -> None:
        super().__init__()
        self.clip = parts.clip
        self.bias = nn.Parameter(torch.tensor(-10.0)) if sigmoid else None

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        image = self.clip.visual_projection(self.clip.vision_model(pixel_values=pixels).pooler_output)
        text = self.clip.text_projection(self.clip.text_model(input_ids=ids, attention_mask=mask).pooler_output)
        # The scale passes through the module's output, so that its gradient is averaged with the others.
        return (
            functional.normalize(image.float()),
            functional.normalize(text.float()),
            self.clip.logit_scale.exp(),
            self.bias,
        )


class Pretraining:
    """The pretraining stage on the photos of a frame (photo_id, latitude, longitude and the caption clues)."""

    def __init__(
        self,
        parts: ClipParts,
        train: pd.DataFrame,
        val: pd.DataFrame,
        reader: ShardReader,
        spec: Spec,
        device: torch.device,
    ) -> None:
        settings = spec["settings"]
        self.parts, self.settings, self.device = parts, settings["pretrain"], device
        self.captions, self.seed = settings["captions"], spec["seed"]
        self.module = TwoTowers(parts, sigmoid=self.settings["loss"] == "sigmoid")
        self.photos, self.weights = len(train), {"contrastive": 1.0}
        side = parts.preprocessing.side
        make = {"side": side, "seed": spec["seed"], "threads": spec["threads"]}
        self.train = Candidates(train, Images(reader, train["photo_id"], augment=True, **make))
        val = val.iloc[:VALIDATED]
        self.val = Candidates(val, Images(reader, val["photo_id"], augment=False, **make))

    def losses(self, module: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        image, text, scale, bias = module(*self.inputs(self.train, batch.items, batch.epoch))
        terms = contrastive_terms(
            image,
            text,
            gather(image),
            gather(text),
            torch.from_numpy(batch.rows).to(self.device),
            scale,
            bias,
            torch.from_numpy(self.train.same(batch.items, batch.all_items, self.settings["same_place_km"])).to(
                self.device
            ),
            torch.from_numpy(batch.all_real).to(self.device),
            self.settings["loss"],
        )
        real = torch.from_numpy(batch.real).to(self.device)
        return {"contrastive": (torch.where(real, terms, 0.0).sum(), real.sum())}

    def inputs(self, candidates: "Candidates", items: np.ndarray, epoch: int | None) -> tuple[Tensor, Tensor, Tensor]:
        captions = [
            sample_caption(
                candidates.clues[item],
                self.captions,
                photo_rng(self.seed, epoch or 0, candidates.clues[item]["photo_id"]),
            )
            for item in items
        ]
        tokens = self.parts.tokenizer(captions, padding=True, truncation=True, return_tensors="pt").to(self.device)
        images = candidates.images.batch(items, epoch).to(self.device)
        return normalise(images, self.parts.preprocessing), tokens["input_ids"], tokens["attention_mask"]

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Loss and share of photos whose own caption's place is the nearest, over the validation photos."""
        items = np.arange(len(self.val.clues))
        image, text, scale, bias = module(*self.inputs(self.val, items, None))
        rows = torch.arange(len(items), device=self.device)
        same = torch.from_numpy(self.val.same(items, items, self.settings["same_place_km"])).to(self.device)
        everyone = torch.ones(len(items), dtype=torch.bool, device=self.device)
        terms = contrastive_terms(image, text, image, text, rows, scale, bias, same, everyone, self.settings["loss"])
        best = (image @ text.T).argmax(dim=1)
        hit = (best == rows) | same[rows, best]
        return {"val_loss": float(terms.mean()), "val_retrieval": float(hit.float().mean())}

    def after_step(self) -> None:
        with torch.no_grad():
            self.parts.clip.logit_scale.clamp_(0, MAX_SCALE)


class Candidates:
    """Photos with their clues, and which of them are no negatives of each other."""

    def __init__(self, frame: pd.DataFrame, images: Images) -> None:
        self.images = images
        self.clues = frame.astype(object).where(frame.notna(), None).to_dict("records")
        self.vectors = unit_vectors(frame["latitude"], frame["longitude"])
        # Every photo without a location text is a place of its own.
        codes = pd.factorize(frame["location"])[0]
        self.places = np.where(codes < 0, -1 - np.arange(len(frame)), codes)

    def same(self, items: np.ndarray, others: np.ndarray, limit_km: float) -> np.ndarray:
        """bool (n, N): the same location text, or closer than the limit."""
        chord = np.linalg.norm(self.vectors[items][:, None] - self.vectors[others][None], axis=2)
        return (self.places[items][:, None] == self.places[others][None]) | (chord <= km_to_chord(limit_km))


def prepare(spec: Spec, device: torch.device) -> Pretraining:
    """The stage of a spec: the tables and shards it names."""
    train, val, reader = read_photos(spec["inputs"])
    captions = train[["location", "climate", "driving_side", "month", "season", "heading"]].stack().dropna()
    parts = build_clip(spec["settings"]["model"], captions.tolist(), spec["seed"])
    return Pretraining(parts, train, val, reader, spec, device)


def read_photos(inputs: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame, ShardReader]:
    """Training and validation photos that have images, ordered by photo_id, with their clues."""
    reader = ShardReader(inputs["shards"], inputs["index"])
    photos = tables.read(inputs["photos"], "photos", columns=["photo_id", "latitude", "longitude"])
    frame = photos.merge(tables.read(inputs["splits"], "splits"), on="photo_id", validate="1:1")
    frame = frame.merge(tables.read(inputs["captions"], "captions"), on="photo_id", validate="1:1")
    frame = frame[[name in reader for name in frame["photo_id"]]].sort_values("photo_id")
    parts = [frame[frame["split"] == split].reset_index(drop=True) for split in ("train", "val")]
    return parts[0], parts[1], reader


def finish(stage: Pretraining, spec: Mapping[str, Any]) -> None:
    """Save the trained CLIP."""
    with atomic_path(spec["outputs"]["model"]) as folder:
        save_clip(folder, stage.parts)


if __name__ == "__main__":
    main(prepare, finish, "pretrain")
