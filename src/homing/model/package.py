"""Prediction with a finished run's model package, on a machine that has nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from homing.errors import HomingError
from homing.files import read_json
from homing.model.geolocator import Geolocator, load_geolocator
from homing.model.images import pixels
from homing.refine.index import RefineIndex
from homing.refine.search import Candidates, refine
from homing.refine.table import best_cells
from homing.sphere import from_vectors, unit_vectors

BATCH = 64
Place = Image.Image | Sequence[Image.Image]
LEVELS = {"country": ["country", "country_name"], "region": ["country", "country_name", "region"]}


@dataclass(frozen=True)
class GeolocatorPackage:
    """A loaded package."""

    geolocator: Geolocator
    index: RefineIndex
    config: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> "GeolocatorPackage":
        """Read `results/runs/<run>/model`. Raises HomingError when the folder is no such package."""
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise HomingError(f"{folder}: no model package; give the folder results/runs/<run>/model of a finished run")
        geolocator = load_geolocator(folder)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        geolocator.vision.to(device)
        geolocator.heads.to(device)
        return cls(geolocator, RefineIndex.load(folder / "refine"), read_json(folder / "config.json"))

    def embed(self, images: Sequence[Place]) -> np.ndarray:
        """Embeddings (n, d) of RGB images, or of places that are given by as many views each."""
        chunks = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate(
            [self.geolocator.embed(torch.stack([self._pixels(place) for place in chunk])) for chunk in chunks]
        )

    def _pixels(self, place: Place) -> Tensor:
        if isinstance(place, Image.Image):
            return pixels(place, self.geolocator.preprocessing.side)
        return torch.stack([self._pixels(view) for view in place])

    def predict(self, images: Sequence[Place], top: int = 5, refined: bool = True) -> list[pd.DataFrame]:
        """Per image or place its `top` answers, best first: latitude, longitude, probability, cell_id, name, region,
        country, country_name."""
        vectors = self.embed(images)
        probability = self.geolocator.predict_vectors(vectors)["cell_probability"]
        settings = self.config["refine"]
        candidates = best_cells(probability, self.geolocator.cells, max(top, settings["top_cells"]))
        if refined:
            candidates = refine(self.index, vectors, candidates, settings["temperature"], settings["max_move_km"])
        return [self._answers(candidates, photo, top) for photo in range(len(images))]

    def _answers(self, candidates: Candidates, photo: int, top: int) -> pd.DataFrame:
        columns = {name: getattr(candidates, name)[photo, :top] for name in Candidates.__annotations__}
        names = self.geolocator.cells.drop(columns=["latitude", "longitude", "photos"])
        return pd.DataFrame(columns).merge(names, on="cell_id", how="left")

    def predict_coarse(self, images: Sequence[Place], level: str, top: int = 5) -> list[pd.DataFrame]:
        """Per image its `top` countries or regions: their summed probability and the middle of their cells.

        The place is that of the country or region, the same for every photo of it.
        """
        cells = self.geolocator.cells
        probability = self.geolocator.predict_vectors(self.embed(images))["cell_probability"]
        weighted = (
            unit_vectors(cells["latitude"], cells["longitude"]) * cells["photos"].clip(lower=1).to_numpy()[:, None]
        )
        rows = []
        for place, members in cells.groupby(LEVELS[level], dropna=False, sort=True).indices.items():
            latitude, longitude = from_vectors(weighted[members].sum(axis=0))
            named = dict(zip(LEVELS[level], place, strict=True))
            rows.append(named | {"latitude": round(float(latitude), 1), "longitude": round(float(longitude), 1)})
        places = pd.DataFrame(rows)
        groups = cells.groupby(LEVELS[level], dropna=False, sort=True).ngroup().to_numpy()
        summed = np.zeros((len(images), len(places)))
        np.add.at(summed.T, groups, probability.T)
        order = np.argsort(-summed, axis=1, kind="stable")[:, :top]
        return [
            places.iloc[best].assign(probability=summed[photo, best]).reset_index(drop=True)
            for photo, best in enumerate(order)
        ]
