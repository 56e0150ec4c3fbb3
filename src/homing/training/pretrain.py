"""Contrastive pretraining on synthetic captions. `python -m homing.training.pretrain SPEC`"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from homing import tables
from homing.captions.sampling import CLUES, sample_captions
from homing.files import atomic_path
from homing.model.clip import ContrastiveModel, ImageTextModel, build_clip
from homing.model.images import normalise
from homing.model.losses import contrastive_terms
from homing.photos.shards import ShardReader
from homing.sphere import haversine_km, km_to_chord, unit_vectors
from homing.training.data.images import ImageLoader, sample_patches
from homing.training.data.sampler import Batch, local_slice
from homing.training.distributed import gather, rank, world_size
from homing.training.protocol import Inputs
from homing.training.worker import Spec, main

MAX_SCALE = math.log(100)  # CLIP's clamp of the learned temperature (Radford et al. 2021)
VALIDATION_PHOTOS = 512  # fixed, since the loss depends on the number of candidates
VALIDATION_BATCH = 128


class Pretraining:
    """The pretraining stage on the photos of a frame (photo_id, latitude, longitude and the caption clues)."""

    compares = True

    def __init__(
        self,
        encoder: ImageTextModel,
        train: pd.DataFrame,
        val: pd.DataFrame,
        reader: ShardReader,
        spec: Spec,
        device: torch.device,
    ) -> None:
        settings = spec["settings"]
        self.encoder, self.settings, self.device = encoder, settings["pretrain"], device
        self.captions, self.seed = settings["captions"], spec["seed"]
        self.module = ContrastiveModel(encoder, sigmoid=self.settings["loss"] == "sigmoid")
        # A checkpoint with a higher learned scale (SigLIP) keeps that as its limit.
        self.highest_scale = max(MAX_SCALE, float(encoder.model.logit_scale.detach()))
        self.photos, self.weights = len(train), {"contrastive": 1.0}
        load = partial(ImageLoader, reader, side=encoder.preprocessing.side, seed=spec["seed"], threads=spec["threads"])
        self.train = Candidates(train, load(photo_ids=train["photo_id"], augment=True), device)
        val = val.iloc[:VALIDATION_PHOTOS]
        self.val = Candidates(val, load(photo_ids=val["photo_id"], augment=False), device)

    def load(self, batch: Batch) -> Inputs:
        """Return images, tokens and mask of the own items, and kept patches (n, k) if some are dropped."""
        inputs = self._read(self.train, batch.items, batch.epoch)
        photo_ids = [self.train.images.photo_ids[item] for item in batch.items]
        share, patches = self.settings["patch_dropout"], self.encoder.patches
        kept = sample_patches(patches, share, self.seed, batch.epoch, photo_ids)
        return inputs if kept is None else (*inputs, kept)

    def _read(self, candidates: "Candidates", items: np.ndarray, epoch: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return images, uint8 (n, 3, s, s), and the tokens and masks (n, t) of sampled captions."""
        captions = sample_captions(candidates.clues, items, self.captions, self.seed, epoch or 0)
        return candidates.images.batch(items, epoch), *self.encoder.tokens(captions, fixed=self.settings["compile"])

    def forward(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        """Return the unit vectors of images and captions, and the learned scale and bias."""
        images, *others = inputs
        return module(normalise(images, self.encoder.preprocessing), *others)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Return the number of photos of the global batch."""
        return {"contrastive": torch.tensor(batch.all_real.sum())}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return the sum of the own photos' losses; `outputs` are those of the global batch."""
        rows, valid = (torch.from_numpy(part).to(self.device) for part in (batch.rows, batch.all_real))
        terms = self._terms(self.train, outputs, batch.items, batch.all_items, rows, valid)
        real = torch.from_numpy(batch.real).to(self.device)
        return {"contrastive": torch.where(real, terms, 0.0).sum()}

    def _terms(
        self,
        candidates: "Candidates",
        outputs: Mapping[str, Tensor],
        items: np.ndarray,
        all_items: np.ndarray,
        rows: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """Return the loss (n,) of `items`, at `rows` of the outputs of `all_items`; padding is not valid."""
        image, text = outputs["image"], outputs["text"]
        same = candidates.same(items, all_items, self.settings["same_place_km"])
        scale, bias = outputs["scale"], outputs.get("bias")
        return contrastive_terms(
            image[rows], text[rows], image, text, rows, scale, bias, same, valid, self.settings["loss"]
        )

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Return the loss, the recall at 1 of captions and the median error of the best caption's photo in km.

        Each process embeds its share of the photos; every process compares all of them.
        """
        items = np.arange(len(self.val.clues))
        outputs = self._embed_validation(module, items)
        rows = torch.arange(len(items), device=self.device)
        terms = self._terms(self.val, outputs, items, items, rows, torch.ones_like(rows, dtype=torch.bool))
        best = (outputs["image"] @ outputs["text"].T).argmax(dim=1)
        same = self.val.same(items, items, self.settings["same_place_km"])
        hit = (best == rows) | same[rows, best]
        error_km = self.val.distances_km(items, best.cpu().numpy())
        return {
            "val_loss": float(terms.mean()),
            "val_retrieval": float(hit.float().mean()),
            "val_median_km": float(np.median(error_km)),
        }

    def _embed_validation(self, module: nn.Module, items: np.ndarray) -> dict[str, Tensor]:
        own, real = local_slice(items, rank(), world_size())
        parts = []
        for start in range(0, len(own), VALIDATION_BATCH):
            inputs = self._read(self.val, own[start : start + VALIDATION_BATCH], None)
            parts.append(self.forward(module, tuple(value.to(self.device) for value in inputs)))
        is_real = gather(torch.from_numpy(real).to(self.device))
        rows = {name: gather(torch.cat([part[name] for part in parts]))[is_real] for name in ("image", "text")}
        return parts[0] | rows

    def after_step(self) -> None:
        """Clamp the learned scale."""
        with torch.no_grad():
            self.encoder.model.logit_scale.clamp_(0, self.highest_scale)


class Candidates:
    """Photos with their clues, and which of them are not negatives of each other."""

    def __init__(self, frame: pd.DataFrame, images: ImageLoader, device: torch.device) -> None:
        self.images = images
        self.clues = frame
        self.coordinates = frame[["latitude", "longitude"]].to_numpy()
        self.vectors = torch.from_numpy(unit_vectors(frame["latitude"], frame["longitude"])).float().to(device)
        # A photo without a location text is a place of its own.
        codes = pd.factorize(frame["location"])[0]
        self.places = torch.from_numpy(np.where(codes < 0, -1 - np.arange(len(frame)), codes)).to(device)

    def same(self, items: np.ndarray, others: np.ndarray, limit_km: float | None) -> Tensor:
        """Return bool (n, N): the same location text, or within the limit; without a limit, the same photo."""
        rows, columns = (torch.from_numpy(index).to(self.places.device) for index in (items, others))
        if limit_km is None:
            return rows[:, None] == columns[None]
        # From coordinate differences: the matrix product of unit vectors would be off by kilometres in fp32.
        exact = "donot_use_mm_for_euclid_dist"
        chord_nk = torch.cdist(self.vectors[rows], self.vectors[columns], compute_mode=exact)
        same_text_nk = self.places[rows][:, None] == self.places[columns][None]
        return same_text_nk | (chord_nk <= float(km_to_chord(limit_km)))

    def distances_km(self, items: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return great-circle distances (n,) between pairs of items."""
        return haversine_km(*self.coordinates[items].T, *self.coordinates[others].T)


def prepare(spec: Spec, device: torch.device) -> Pretraining:
    """Build the stage from the tables and shards that a spec names."""
    train, val, reader = read_photos(spec["inputs"])
    captions = [text for clue in CLUES for text in train[clue].dropna().unique()]
    encoder = build_clip(spec["settings"]["model"], captions, spec["seed"])
    encoder.tune(spec["settings"]["pretrain"])
    return Pretraining(encoder, train, val, reader, spec, device)


def read_photos(inputs: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame, ShardReader]:
    """Return training and validation photos that have images, with their clues, ordered by photo_id; and the shards."""
    reader = ShardReader(inputs["shards"], inputs["index"])
    photos = tables.read(inputs["photos"], "photos", columns=["photo_id", "latitude", "longitude"])
    frame = photos.merge(tables.read(inputs["splits"], "splits"), on="photo_id", validate="1:1")
    frame = frame.merge(tables.read(inputs["captions"], "captions"), on="photo_id", validate="1:1")
    frame = frame[reader.rows(frame["photo_id"]) >= 0].sort_values("photo_id")
    parts = [frame[frame["split"] == split].reset_index(drop=True) for split in ("train", "val")]
    return parts[0], parts[1], reader


def finish(stage: Pretraining, spec: Mapping[str, Any]) -> None:
    """Save the trained encoder."""
    with atomic_path(spec["outputs"]["model"]) as folder:
        stage.encoder.save(folder)


if __name__ == "__main__":
    main(prepare, finish, "pretrain")
