"""The data that the report of a run is made of, and what several of its sections derive from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from homing.evaluate.distances import distances_km, rows_of
from homing.photos.shards import ShardReader
from homing.readouts import ANSWER
from homing.report.geocells import Cells

PLACE = ["latitude", "longitude", "cell_id", "probability"]
NAMES = ["country", "country_name", "region"]


@dataclass(frozen=True)
class Inputs:
    """The data of a finished run."""

    truth: pd.DataFrame  # the test photos: photo_id, latitude, longitude, country, country_name, region
    predictions: Mapping[str, pd.DataFrame]  # `predictions` tables by readout
    cells: Cells
    members: pd.DataFrame  # training photos of the prototypes: photo_id, latitude, longitude
    credits: pd.DataFrame  # author, licence and source_url by photo_id
    reader: ShardReader
    summary: Mapping[str, Any]
    variants: Sequence[Mapping[str, Any]]  # summaries of the other runs
    metrics: Mapping[str, Mapping[str, Any]]  # by photo set
    provenance: Mapping[str, Any]
    histories: Mapping[str, Sequence[Mapping[str, Any]]]  # logged steps of "pretrain" and "finetune"
    captions: Sequence[str]
    manifests: Sequence[Mapping[str, Any]]

    @property
    def test(self) -> Mapping[str, Any]:
        """Metrics of the run's own test photos."""
        return self.metrics["test"]

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration of the run."""
        return self.provenance["config"]

    @cached_property
    def error_km(self) -> Mapping[str, np.ndarray]:
        """Distance of the answers from the photos of `truth`, (n,), by readout."""
        return {name: distances_km(self.truth, table) for name, table in self.predictions.items() if len(table)}

    @cached_property
    def answers(self) -> pd.DataFrame:
        """The answer to each photo of `truth`, in its order: place, cell, probability and names of the cell."""
        table = self.predictions[ANSWER]
        first = table[table["rank"] == 0]
        at = rows_of(self.truth["photo_id"], first["photo_id"])
        named = first[PLACE].merge(self.cells.table[["cell_id", *NAMES]], on="cell_id", how="left")
        return named.reindex(np.where(at < 0, len(named), at)).reset_index(drop=True)


def place_name(names: Mapping[str, Any]) -> str:
    """Return region and country as far as they are known, else "at sea"."""
    parts = [part for part in (names["region"], names["country_name"]) if isinstance(part, str)]
    return ", ".join(dict.fromkeys(parts)) or "at sea"
