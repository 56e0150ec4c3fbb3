"""Ranked places from a photo's embedding and cell probabilities, by one of the readouts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from homing.confidence.regions import smallest_region
from homing.errors import HomingError
from homing.geoscore import MAX_SCORE, relative_score
from homing.readouts import ANSWER, CLASSIFIER, NEED_PHOTOS, PACKAGED
from homing.refine.index import RefineIndex
from homing.refine.readout import further_readouts
from homing.refine.retrieve import InvertedLists, gated, nearest_photos
from homing.refine.search import Candidates, refine
from homing.refine.table import best_cells, to_table
from homing.sphere import chord_to_km, unit_vectors

Part = TypeVar("Part")
REGIONS = {"area_50_km2": 0.5, "area_90_km2": 0.9}


@dataclass(frozen=True)
class PlacePredictor:
    """Everything beside the networks that places are predicted from.

    cells: cell_id 0..C-1, latitude, longitude, area_km2 and names; settings: of `refine`, with fitted parameters;
    coarser: (levels, C), the nodes above each cell; index, lists: the training photos. None if the package lacks them.
    """

    cells: pd.DataFrame
    settings: Mapping[str, Any]
    coarser: np.ndarray | None = None
    index: RefineIndex | None = None
    lists: InvertedLists | None = None

    def choose(self, readout: str | None) -> str:
        """Return `readout`, or the default if it is None. Raises HomingError if the package cannot compute it."""
        chosen = readout or (ANSWER if self.index else CLASSIFIER)
        if chosen not in PACKAGED:
            raise HomingError(f"readout {chosen!r}: choose one of {', '.join(PACKAGED)}")
        if chosen in NEED_PHOTOS and not self.index:
            raise HomingError(
                f"readout {chosen!r} compares with training photos, and this package was exported without them; it "
                f"answers by {', '.join(name for name in PACKAGED if name not in NEED_PHOTOS)}"
            )
        return chosen

    def predict(self, vectors: np.ndarray, probability: np.ndarray, top: int, readout: str) -> pd.DataFrame:
        """Return the `top` places of photos 0..n-1 from embeddings (n, d) and cell probabilities (n, C), a row each.

        Columns: photo, rank, cell_id, probability, latitude, longitude, expected_score, areas of the regions, and names
        of the cell.
        """
        kept = best_cells(probability, self.cells, max(top, self.settings["top_cells"]))
        refined = self._refined(kept, vectors, readout)
        answers = _ranked(self._first(refined, vectors, readout), refined, kept, top)
        table = to_table(range(len(probability)), answers).rename(columns={"photo_id": "photo"})
        table["photo"] = table["photo"].astype(np.int64)
        table["expected_score"] = self._expected_scores(answers, refined, probability).ravel()
        ranks = answers.cell_id.shape[1]
        for name, level in REGIONS.items():
            areas = smallest_region(probability, level) @ self.cells["area_km2"].to_numpy()
            table[name] = np.repeat(areas, ranks)
        names = self.cells[["cell_id", "name", "region", "country", "country_name"]]
        return table.merge(names, on="cell_id", how="left")

    def _refined(self, kept: Candidates, vectors: np.ndarray, readout: str) -> Candidates:
        """Return the best cells, refined as in the evaluation of the run; not refined if no photos are compared."""
        best = kept.best(self.settings["top_cells"])
        if readout == CLASSIFIER or self.index is None:
            return best
        return refine(self.index, vectors, best, self.settings["temperature"], self.settings["max_move_km"])

    def _first(self, refined: Candidates, vectors: np.ndarray, readout: str) -> Candidates:
        """Return the answers (n, 1) of a readout."""
        if readout in (ANSWER, CLASSIFIER):
            return refined.best(1)

        def retrieve(candidates: Candidates) -> Candidates:
            index = _required(self.index, "an index of training photos (refine/)")
            neighbours = nearest_photos(index, vectors, self.lists)
            return gated(candidates, neighbours, index, self.settings["gate_similarity"])

        def coarser() -> np.ndarray:
            return _required(self.coarser, "hierarchy.parquet")

        return further_readouts(refined, self.settings, coarser, retrieve)[readout]()

    def _expected_scores(self, answers: Candidates, refined: Candidates, probability: np.ndarray) -> np.ndarray:
        """Return the expected GeoScore (n, k) of each answer, if the probabilities are right.

        The true place is at the refined place of a candidate cell, or at the centroid of any other cell.
        """
        elsewhere = probability.astype(np.float64)
        np.put_along_axis(elsewhere, refined.cell_id, 0, axis=1)
        points = unit_vectors(answers.latitude, answers.longitude)
        centroids = unit_vectors(self.cells["latitude"], self.cells["longitude"])
        near_nkj = _score(points @ unit_vectors(refined.latitude, refined.longitude).swapaxes(1, 2))
        far_nkc = _score(points @ centroids.T)
        near, far = np.einsum("nkj,nj->nk", near_nkj, refined.probability), np.einsum("nkc,nc->nk", far_nkc, elsewhere)
        return MAX_SCORE * (near + far)


def _required(part: Part | None, name: str) -> Part:
    """Return a part of the package. Raises HomingError if it is missing."""
    if part is None:
        raise HomingError(f"the package has no {name}; copy it again, all files of it")
    return part


def _score(cosine: np.ndarray) -> np.ndarray:
    """Return the relative GeoScore of pairs of unit vectors with these dot products."""
    return relative_score(chord_to_km(np.sqrt(np.maximum(2 - 2 * cosine, 0))))


def _ranked(first: Candidates, refined: Candidates, kept: Candidates, top: int) -> Candidates:
    """Return the answer (n, 1) followed by the other candidates and then the other kept cells, `top` in all."""
    start = refined.cell_id.shape[1]
    others = kept.take(np.tile(np.arange(start, kept.cell_id.shape[1]), (len(kept.cell_id), 1)))
    rest = Candidates.concatenate([refined, others], axis=1)
    order = np.argsort(np.where(rest.cell_id == first.cell_id, np.inf, -rest.probability), axis=1, kind="stable")
    return Candidates.concatenate([first, rest.take(order[:, : min(top, order.shape[1]) - 1])], axis=1)
