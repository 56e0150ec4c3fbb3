"""Prediction with a model package, on a machine that has nothing else of the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from homing import tables
from homing.errors import HomingError
from homing.model.encoders import ImageEncoder
from homing.model.geolocator import Geolocator, load_geolocator
from homing.model.images import pixels
from homing.model.precision import autocast, has_units
from homing.package.coarse import LEVELS, CoarsePlaces, require_level
from homing.package.layout import Layout
from homing.package.places import PlacePredictor
from homing.photos.exif import has_gps
from homing.photos.images import PhotoError, open_image, to_rgb
from homing.refine.index import RefineIndex
from homing.refine.readout import nodes_above
from homing.refine.retrieve import InvertedLists

BATCH = 64  # photos per forward pass
View = str | Path | Image.Image
Place = View | Sequence[View]


@dataclass(frozen=True)
class Prepared:
    """A preprocessed photo: uint8 (3, s, s), or (views, 3, s, s) of a place with several views."""

    pixels: Tensor
    has_gps_exif: bool  # True if the EXIF has coordinates, which are reported and never used


@dataclass(frozen=True)
class GeolocatorPackage:
    """A loaded model package, on a device."""

    geolocator: Geolocator
    places: PlacePredictor
    config: dict[str, Any]
    device: torch.device

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> "GeolocatorPackage":
        """Load a package, a run with a package, or a Hugging Face layout onto a device: auto, cpu or cuda.

        Raises HomingError if it is no package, incomplete or of another version, or if its parts do not match.
        """
        layout = Layout.of(folder)
        config = layout.config()
        chosen = choose_device(device)
        geolocator, encoder = load_networks(layout)
        encoder.to(chosen)
        geolocator.heads.to(chosen)
        hierarchy = layout.own / "hierarchy.parquet"
        places = PlacePredictor(
            geolocator.cells,
            config["refine"],
            nodes_above(tables.read(hierarchy, "hierarchy")) if hierarchy.is_file() else None,
            RefineIndex.load(layout.index) if layout.index else None,
            InvertedLists.load(layout.index) if layout.index else None,
        )
        _check_parts(layout.own, geolocator, encoder.width, places)
        return cls(geolocator, places, config, chosen)

    def predict(
        self, images: Sequence[Place], top: int = 5, readout: str | None = None, coarse: str | None = None
    ) -> pd.DataFrame:
        """Return the `top` answers of each image, a row each, best first; columns: docs/predicting.md.

        images: paths, Pillow images, or lists of these that are views of one place; column photo is the index in
        `images`. readout: refined, classifier, mode, score, median, hierarchy or retrieval (docs/refinement.md).
        coarse: country or region, to answer no finer. Raises PhotoError for an image that cannot be read, HomingError
        for an answer that the package cannot give.
        """
        prepared = [self.prepare(image) for image in images]
        starts = range(0, len(prepared), BATCH)
        found = [self.answer(prepared[start : start + BATCH], top, readout, coarse) for start in starts]
        for start, table in zip(starts, found, strict=True):
            table["photo"] += start
        return pd.concat(found, ignore_index=True) if found else self.answer([], top, readout, coarse)

    def answer(
        self, photos: Sequence[Prepared], top: int = 5, readout: str | None = None, coarse: str | None = None
    ) -> pd.DataFrame:
        """Return the answers to one batch of prepared photos, as `predict` does."""
        chosen, level = self.choose(readout, coarse, top)
        vectors = self._embed([photo.pixels for photo in photos])
        probability = self.probabilities(vectors)
        if level == "exact":
            table = self.places.predict(vectors, probability, top, chosen)
        else:
            table = self.coarse_places[level].predict(probability, top)
        gps = np.array([photo.has_gps_exif for photo in photos], dtype=bool)
        return table.assign(has_gps_exif=gps[table["photo"].to_numpy(dtype=np.int64)])

    def choose(self, readout: str | None, coarse: str | None, top: int = 1) -> tuple[str, str]:
        """Return the readout and the level of the answers. Raises HomingError if the package cannot give them."""
        if top < 1:
            raise HomingError(f"top {top}: must be at least 1")
        finest = self.config["answers"]
        level = coarse or (finest if readout is None else "exact")
        require_level(level, finest)
        return (self.places.choose(readout) if level == "exact" else "", level)

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return the calibrated cell probabilities (n, C) of embeddings (n, d)."""
        calibration = self.config["calibration"]
        found = self.geolocator.predict_vectors(vectors, temperature=calibration["temperature"] if calibration else 1.0)
        return found["cell_probability"] if found else np.zeros((0, len(self.geolocator.cells)), dtype=np.float32)

    def embed(self, images: Sequence[Place]) -> np.ndarray:
        """Return the embeddings (n, d) of images, or of places with views."""
        chunks = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate([self._embed([self.prepare(place).pixels for place in chunk]) for chunk in chunks])

    @property
    def precision(self) -> str:
        """The precision of the run's embeddings if this device is a GPU that supports it, else no mixed precision."""
        wanted = self.config["precision"]
        return wanted if self.device.type == "cuda" and has_units(self.device, wanted) else "no"

    def _embed(self, batch: Sequence[Tensor]) -> np.ndarray:
        """Return the embeddings (n, d) of preprocessed places, which may differ in the number of views."""
        vectors = np.zeros((len(batch), self.geolocator.heads.cell.in_features), dtype=np.float32)
        shapes = [tensor.shape for tensor in batch]
        for shape in dict.fromkeys(shapes):
            rows = [row for row, other in enumerate(shapes) if other == shape]
            with autocast(self.device, self.precision):
                vectors[rows] = self.geolocator.embed(torch.stack([batch[row] for row in rows]))
        return vectors

    def prepare(self, image: Place) -> Prepared:
        """Decode, turn upright and resize an image, or the views of a place. Raises PhotoError naming the file."""
        if isinstance(image, (str, Path, Image.Image)):
            picture, has_gps_exif = _read(image)
            return Prepared(pixels(picture, self.geolocator.preprocessing.side), has_gps_exif)
        views = [self.prepare(view) for view in image]
        if not views:
            raise PhotoError("a place without views")
        return Prepared(torch.stack([view.pixels for view in views]), any(view.has_gps_exif for view in views))

    @cached_property
    def coarse_places(self) -> dict[str, CoarsePlaces]:
        """The countries and regions of the cells."""
        return {level: CoarsePlaces.from_cells(self.geolocator.cells, level) for level in LEVELS}


def load_networks(layout: Layout) -> tuple[Geolocator, ImageEncoder]:
    """Read the geolocator of a package and its encoder. Raises HomingError if the weights cannot be read."""
    try:
        geolocator = load_geolocator(layout.own, layout.encoder)
    except (SafetensorError, RuntimeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise HomingError(f"{layout.own}: the weights cannot be read ({first}); copy the package again") from None
    if geolocator.encoder is None:
        raise HomingError(f"{layout.encoder}: no encoder; copy the package again")
    return geolocator, geolocator.encoder


def choose_device(name: str) -> torch.device:
    """Return the device of a name; auto is the GPU if there is one. Raises HomingError if there is no such device."""
    if name not in ("auto", "cpu", "cuda"):
        raise HomingError(f"device {name!r}: must be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise HomingError("device cuda: torch finds no GPU; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _read(image: View) -> tuple[Image.Image, bool]:
    """Return the upright RGB image, and whether its EXIF has coordinates."""
    if isinstance(image, Image.Image):
        return to_rgb(image), has_gps(image)
    try:
        opened = open_image(Path(image).read_bytes())
        return to_rgb(opened), has_gps(opened)
    except (PhotoError, OSError) as error:
        raise PhotoError(f"{image}: {error.strerror or error if isinstance(error, OSError) else error}") from None


def _check_parts(folder: Path, geolocator: Geolocator, width: int, places: PlacePredictor) -> None:
    """Raise HomingError if encoder (of this width), heads, cells, hierarchy and index are not from one run."""
    heads, cells, index = geolocator.heads.cell, geolocator.cells, places.index
    problems = [
        (heads.in_features != width,
         f"heads for {heads.in_features} dimensions on an encoder of {width}"),
        (not np.array_equal(cells["cell_id"], np.arange(heads.out_features)),
         f"heads for {heads.out_features} cells beside a table of {len(cells)} (cells.parquet)"),
        (places.coarser is not None and places.coarser.shape[1] != len(cells),
         f"a hierarchy of other cells than the {len(cells)} (hierarchy.parquet)"),
    ]  # fmt: skip
    if index is not None:
        known = index.prototypes["cell_id"]
        problems += [
            (index.member_vectors.shape[1:] != (heads.in_features,) or index.centre.shape != (heads.in_features,),
             f"an index of {index.member_vectors.shape[-1]} dimensions (refine/) beside heads for {heads.in_features}"),
            (len(known) > 0 and known.max() >= len(cells),
             f"an index (refine/) with cell {known.max()}, where there are only {len(cells)}"),
            (len(index.members) != len(index.member_vectors) or len(known) != len(index.prototype_vectors),
             "an index (refine/) whose tables and vectors differ in length"),
        ]  # fmt: skip
    for wrong, found in problems:
        if wrong:
            raise HomingError(f"{folder}: {found}; the parts are from different runs, package the run again")
