"""Contrastive pretraining of CLIP on synthetic captions. `python -m homing.training.pretrain SPEC`"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from homing import tables
from homing.captions.sampling import CLUES, sample_captions
from homing.files import atomic_path
from homing.model.clip import ContrastiveModel, ImageTextModel, build_clip, save_clip
from homing.model.images import normalise
from homing.model.losses import contrastive_terms
from homing.photos.shards import ShardReader
from homing.sphere import haversine_km, km_to_chord, unit_vectors
from homing.training.data.images import Images, kept_patches
from homing.training.data.sampler import Batch, local_slice
from homing.training.distributed import gather, world
from homing.training.protocol import Inputs
from homing.training.worker import Spec, main

MAX_SCALE = math.log(100)  # CLIP's clamp of the learned temperature (Radford et al. 2021)
VALIDATED = 512  # photos; the loss depends on how many candidates there are
VALIDATION_BATCH = 128


class Pretraining:
    """The pretraining stage on the photos of a frame (photo_id, latitude, longitude and the caption clues)."""

    compares = True

    def __init__(
        self,
        parts: ImageTextModel,
        train: pd.DataFrame,
        val: pd.DataFrame,
        reader: ShardReader,
        spec: Spec,
        device: torch.device,
    ) -> None:
        settings = spec["settings"]
        self.parts, self.settings, self.device = parts, settings["pretrain"], device
        self.captions, self.seed = settings["captions"], spec["seed"]
        self.module = ContrastiveModel(parts, sigmoid=self.settings["loss"] == "sigmoid")
        # A checkpoint that has learned a higher one (SigLIP's) keeps its own as the limit.
        self.highest_scale = max(MAX_SCALE, float(parts.clip.logit_scale.detach()))
        self.photos, self.weights = len(train), {"contrastive": 1.0}
        make = {"side": parts.preprocessing.side, "seed": spec["seed"], "threads": spec["threads"]}
        self.train = Candidates(train, Images(reader, train["photo_id"], augment=True, **make), device)
        val = val.iloc[:VALIDATED]
        self.val = Candidates(val, Images(reader, val["photo_id"], augment=False, **make), device)

    def load(self, batch: Batch) -> Inputs:
        inputs = self._read(self.train, batch.items, batch.epoch)
        names = [self.train.images.photo_ids[item] for item in batch.items]
        share, patches = self.settings["patch_dropout"], self.parts.encoder.patches
        kept = kept_patches(patches, share, self.seed, batch.epoch, names)
        return inputs if kept is None else (*inputs, kept)

    def _read(self, candidates: "Candidates", items: np.ndarray, epoch: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Images uint8 (n, 3, s, s), and the tokens of their captions with their mask (n, t)."""
        captions = sample_captions(candidates.clues, items, self.captions, self.seed, epoch or 0)
        return candidates.images.batch(items, epoch), *self.parts.tokens(captions, fixed=self.settings["compile"])

    def forward(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        images, *others = inputs
        return module(normalise(images, self.parts.preprocessing), *others)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {"contrastive": torch.tensor(batch.all_real.sum())}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The sum over the own photos; `outputs` are those of the global batch."""
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
        """The loss (n,) of `items`, at `rows` of the outputs of `all_items`, without those that are not valid."""
        image, text = outputs["image"], outputs["text"]
        same = candidates.same(items, all_items, self.settings["same_place_km"])
        scale, bias = outputs["scale"], outputs.get("bias")
        return contrastive_terms(
            image[rows], text[rows], image, text, rows, scale, bias, same, valid, self.settings["loss"]
        )

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Loss over the validation photos; how often and how far the best caption's place is from the photo's.

        Each process embeds its share of the photos; all compare them.
        """
        items = np.arange(len(self.val.clues))
        outputs = self._embed_validation(module, items)
        rows = torch.arange(len(items), device=self.device)
        terms = self._terms(self.val, outputs, items, items, rows, torch.ones_like(rows, dtype=torch.bool))
        best = (outputs["image"] @ outputs["text"].T).argmax(dim=1)
        same = self.val.same(items, items, self.settings["same_place_km"])
        hit = (best == rows) | same[rows, best]
        away_km = self.val.distances_km(items, best.cpu().numpy())
        return {
            "val_loss": float(terms.mean()),
            "val_retrieval": float(hit.float().mean()),
            "val_median_km": float(np.median(away_km)),
        }

    def _embed_validation(self, module: nn.Module, items: np.ndarray) -> dict[str, Tensor]:
        own, real = local_slice(items, *world())
        parts = []
        for start in range(0, len(own), VALIDATION_BATCH):
            inputs = self._read(self.val, own[start : start + VALIDATION_BATCH], None)
            parts.append(self.forward(module, tuple(value.to(self.device) for value in inputs)))
        everyone = gather(torch.from_numpy(real).to(self.device))
        rows = {name: gather(torch.cat([part[name] for part in parts]))[everyone] for name in ("image", "text")}
        return parts[0] | rows

    def after_step(self) -> None:
        """The temperature stays in range: CLIP's, or up to that of the checkpoint."""
        with torch.no_grad():
            self.parts.clip.logit_scale.clamp_(0, self.highest_scale)


class Candidates:
    """Photos with their clues, and which of them are no negatives of each other."""

    def __init__(self, frame: pd.DataFrame, images: Images, device: torch.device) -> None:
        self.images = images
        self.clues = frame
        self.coordinates = frame[["latitude", "longitude"]].to_numpy()
        self.vectors = torch.from_numpy(unit_vectors(frame["latitude"], frame["longitude"])).float().to(device)
        # Every photo without a location text is a place of its own.
        codes = pd.factorize(frame["location"])[0]
        self.places = torch.from_numpy(np.where(codes < 0, -1 - np.arange(len(frame)), codes)).to(device)

    def same(self, items: np.ndarray, others: np.ndarray, limit_km: float | None) -> Tensor:
        """bool (n, N): the same location text, or closer than the limit, to a metre; without one, the same photo."""
        items, others = (torch.from_numpy(rows).to(self.places.device) for rows in (items, others))
        if limit_km is None:
            return items[:, None] == others[None]
        # From coordinate differences: the matrix product of unit vectors would be off by kilometres in fp32.
        exactly = "donot_use_mm_for_euclid_dist"
        chords = torch.cdist(self.vectors[items], self.vectors[others], compute_mode=exactly)
        same_text = self.places[items][:, None] == self.places[others][None]
        return same_text | (chords <= float(km_to_chord(limit_km)))

    def distances_km(self, items: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Great-circle distances (n,) between items, pair by pair."""
        return haversine_km(*self.coordinates[items].T, *self.coordinates[others].T)


def prepare(spec: Spec, device: torch.device) -> Pretraining:
    """The stage of a spec: the tables and shards it names."""
    train, val, reader = read_photos(spec["inputs"])
    captions = [text for clue in CLUES for text in train[clue].dropna().unique()]
    parts = build_clip(spec["settings"]["model"], captions, spec["seed"])
    parts.tune(spec["settings"]["pretrain"])
    return Pretraining(parts, train, val, reader, spec, device)


def read_photos(inputs: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame, ShardReader]:
    """Training and validation photos that have images, ordered by photo_id, with their clues."""
    reader = ShardReader(inputs["shards"], inputs["index"])
    photos = tables.read(inputs["photos"], "photos", columns=["photo_id", "latitude", "longitude"])
    frame = photos.merge(tables.read(inputs["splits"], "splits"), on="photo_id", validate="1:1")
    frame = frame.merge(tables.read(inputs["captions"], "captions"), on="photo_id", validate="1:1")
    frame = frame[reader.rows(frame["photo_id"]) >= 0].sort_values("photo_id")
    parts = [frame[frame["split"] == split].reset_index(drop=True) for split in ("train", "val")]
    return parts[0], parts[1], reader


def finish(stage: Pretraining, spec: Mapping[str, Any]) -> None:
    """Save the trained CLIP."""
    with atomic_path(spec["outputs"]["model"]) as folder:
        save_clip(folder, stage.parts)


if __name__ == "__main__":
    main(prepare, finish, "pretrain")
