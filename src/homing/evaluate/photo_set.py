"""metrics/<set>.json: every readout of a run scored on one photo set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from homing import tables
from homing.errors import HomingError
from homing.evaluate.ceilings import Points
from homing.evaluate.countries import Locate, locate_first_answers
from homing.evaluate.geocells import score_geocells
from homing.evaluate.leaks import leak_metrics
from homing.evaluate.measures import score, score_subset
from homing.evaluate.stages import photos_in_cells, stage_metrics
from homing.evaluate.tasks import score_tasks
from homing.photos.splits import rows_in_set
from homing.readouts import ANSWER, CLASSIFIER

PHOTO = ["photo_id", "latitude", "longitude", "author"]


@dataclass(frozen=True)
class PhotoSet:
    """The tables that a photo set is scored with.

    truth, training: photos of the set and of the training split with their labels, from `read_labelled`; readouts:
    `predictions` tables by name, empty if a readout was not computed; tasks: a `tasks` table; cells: cell_id, latitude,
    longitude, area_km2; assignments: the true cells; prototypes: of the refinement index; leaks: a `leaks` table, None
    if the set was not compared with the training photos; leak_reasons: those that were searched for.
    """

    name: str
    truth: pd.DataFrame
    training: pd.DataFrame
    readouts: Mapping[str, pd.DataFrame]
    tasks: pd.DataFrame
    cells: pd.DataFrame
    assignments: pd.DataFrame
    prototypes: Points
    leaks: pd.DataFrame | None = None
    leak_reasons: Sequence[str] = ()


def read_labelled(photos: str, labels: str, splits: pd.DataFrame, photo_set: str) -> pd.DataFrame:
    """Read the photos of a set with place, author and the columns of their labels."""
    frame = rows_in_set(tables.read(photos, "photos", columns=PHOTO), splits, photo_set)
    return frame.merge(tables.read(labels, "labels"), on="photo_id", how="left", validate="1:1")


def score_photo_set(photos: PhotoSet, locate: Locate, radii_km: Sequence[float], seed: int) -> dict[str, Any]:
    """Return the content of metrics/<set>.json; locate: returns the country and region of places.

    Raises HomingError if the set has no photo.
    """
    if photos.truth.empty:
        raise HomingError(f"the photo set {photos.name!r} is empty: nothing to score; change splits, or leave it out")
    readouts = {name: table for name, table in photos.readouts.items() if len(table)}
    answers = locate_first_answers(readouts, locate)
    cells, classifier = photos.cells, readouts[CLASSIFIER]
    refined = int(readouts[ANSWER]["rank"].max()) + 1
    points = {"prototype": photos.prototypes, "photo": photos_in_cells(photos.training, photos.assignments)}
    metrics = {
        "n": len(photos.truth),
        "readouts": score(photos.truth, answers, radii_km, seed),
        "geocell": {"cells": len(cells)} | score_geocells(classifier, photos.assignments, len(cells)),
        **stage_metrics(photos.truth, classifier, cells, photos.assignments, points, refined, radii_km, seed),
        "tasks": score_tasks(photos.truth, photos.tasks, photos.training),
    }
    if photos.leaks is not None:
        figures = partial(score_subset, photos.truth, answers, radii_km)
        leaks = photos.leaks[photos.leaks["benchmark"] == photos.name]
        metrics["leaks"] = leak_metrics(leaks, photos.truth["photo_id"], figures, photos.leak_reasons)
    return metrics
