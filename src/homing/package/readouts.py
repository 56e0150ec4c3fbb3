"""From a photo's probabilities of cells to ranked places, by one of the readout rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from homing.confidence.regions import smallest_region
from homing.errors import HomingError
from homing.geoscore import MAX_SCORE, relative_score
from homing.readouts import ANSWER, CLASSIFIER, NEED_PHOTOS, PACKAGED
from homing.refine.index import RefineIndex
from homing.refine.readout import best_score, hierarchical, median_point, mode_mean
from homing.refine.retrieve import Lists, gated, nearest_photos
from homing.refine.search import COLUMNS, Candidates, refine
from homing.refine.table import best_cells, to_table
from homing.sphere import chord_to_km, unit_vectors

REGIONS = {"area_50_km2": 0.5, "area_90_km2": 0.9}


@dataclass(frozen=True)
class Answerer:
    """What places are read from: the cells (cell_id 0..C-1, latitude, longitude, area_km2, names), the settings and
    fitted parameters of refinement, the nodes (levels, C) above each cell, and the training photos where they are
    there."""

    cells: pd.DataFrame
    settings: Mapping[str, Any]
    coarser: np.ndarray | None = None
    index: RefineIndex | None = None
    lists: Lists | None = None

    def readout(self, asked: str | None) -> str:
        """The rule to answer by: `asked`, or the usual one. Raises HomingError for one that cannot be done."""
        chosen = asked or (ANSWER if self.index else CLASSIFIER)
        if chosen not in PACKAGED:
            raise HomingError(f"readout {chosen!r}: choose one of {', '.join(PACKAGED)}")
        if chosen in NEED_PHOTOS and not self.index:
            raise HomingError(
                f"readout {chosen!r} compares with training photos, and this package was exported without them; it "
                f"answers by {', '.join(name for name in PACKAGED if name not in NEED_PHOTOS)}"
            )
        return chosen

    def table(self, vectors: np.ndarray, probability: np.ndarray, top: int, readout: str) -> pd.DataFrame:
        """Ranked answers of photos 0..n-1 from their embeddings (n, d) and probabilities (n, C), a row each: photo,
        rank, latitude, longitude, probability, expected_score, areas of the regions, and the names of the cell."""
        kept = best_cells(probability, self.cells, max(top, self.settings["top_cells"]))
        placed = self._placed(kept, vectors, readout)
        answers = _ranked(self._first(placed, vectors, readout), placed, kept, top)
        table = to_table(range(len(probability)), answers).rename(columns={"photo_id": "photo"})
        table["photo"] = table["photo"].astype(np.int64)
        table["expected_score"] = self._expected_scores(answers, placed, probability).ravel()
        repeat = answers.cell_id.shape[1]
        for name, level in REGIONS.items():
            areas = smallest_region(probability, level) @ self.cells["area_km2"].to_numpy()
            table[name] = np.repeat(areas, repeat)
        names = self.cells[["cell_id", "name", "region", "country", "country_name"]]
        return table.merge(names, on="cell_id", how="left")

    def _placed(self, kept: Candidates, vectors: np.ndarray, readout: str) -> Candidates:
        """The best cells, placed and ranked by the training photos as in the run's evaluation."""
        best = kept.best(self.settings["top_cells"])
        if readout == CLASSIFIER or self.index is None:
            return best
        return refine(self.index, vectors, best, self.settings["temperature"], self.settings["max_move_km"])

    def _first(self, placed: Candidates, vectors: np.ndarray, readout: str) -> Candidates:
        rules = {
            "mode": lambda: mode_mean(placed, self.settings["mode_radius_km"]),
            "score": lambda: best_score(placed, self.settings["score_radius_km"]),
            "median": lambda: median_point(placed),
            "hierarchy": lambda: hierarchical(placed, self.coarser, self.settings["hierarchy_weight"]),
            "retrieval": lambda: gated(
                placed,
                nearest_photos(self.index, vectors, self.lists),
                self.index,
                self.settings["gate_similarity"],
            ),
        }
        return rules.get(readout, lambda: placed.best(1))()

    def _expected_scores(self, answers: Candidates, placed: Candidates, probability: np.ndarray) -> np.ndarray:
        """The GeoScore (n, k) that each answer would get on average if the probabilities were right: 5000 exp(-d /
        1492.7 km), over the places of the best cells and the middles of all others."""
        elsewhere = probability.astype(np.float64)
        np.put_along_axis(elsewhere, placed.cell_id, 0, axis=1)
        points = unit_vectors(answers.latitude, answers.longitude)
        middles = unit_vectors(self.cells["latitude"], self.cells["longitude"])
        near = _worth(points @ unit_vectors(placed.latitude, placed.longitude).swapaxes(1, 2))
        far = _worth(points @ middles.T)
        score = np.einsum("nkj,nj->nk", near, placed.probability) + np.einsum("nkc,nc->nk", far, elsewhere)
        return MAX_SCORE * score


def _worth(cosine: np.ndarray) -> np.ndarray:
    """exp(-distance / 1492.7 km) of unit vectors with these products."""
    return relative_score(chord_to_km(np.sqrt(np.maximum(2 - 2 * cosine, 0))))


def _ranked(first: Candidates, placed: Candidates, kept: Candidates, top: int) -> Candidates:
    """The answer (n, 1), then what else is likely: the candidates and the cells after them, without its cell."""
    start = placed.cell_id.shape[1]
    rest = _beside(placed, kept.take(np.tile(np.arange(start, kept.cell_id.shape[1]), (len(kept.cell_id), 1))))
    order = np.argsort(np.where(rest.cell_id == first.cell_id, np.inf, -rest.probability), axis=1, kind="stable")
    return _beside(first, rest.take(order[:, : min(top, order.shape[1]) - 1]))


def _beside(one: Candidates, other: Candidates) -> Candidates:
    return Candidates(*(np.concatenate([getattr(one, name), getattr(other, name)], axis=1) for name in COLUMNS))
