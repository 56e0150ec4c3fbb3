"""Which photos shape the cells: those of training, never what a run is tested on."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing import tables
from homing.sphere import km_to_chord, unit_vectors

log = logging.getLogger(__name__)

HELD_OUT_KM = 1.0  # a coordinate this close to a held-out photo is taken for the same place


def shaping_and_run_photos(files: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The photos that shape the cells, and those of the run with their split; columns as of `located`.

    files: photos and labels of the data set that shapes the cells; run_photos, run_labels and splits of the run.
    """
    splits = tables.read(files["splits"], "splits")
    run_photos = located(files["run_photos"], files["run_labels"]).merge(splits, on="photo_id")
    candidates = located(files["photos"], files["labels"])
    return shaping_points(candidates, run_photos, own=files["photos"] == files["run_photos"]), run_photos


def located(photos: str, labels: str) -> pd.DataFrame:
    """photo_id, latitude, longitude, country, area_id of a data set."""
    places = tables.read(photos, "photos", columns=["photo_id", "latitude", "longitude"])
    named = tables.read(labels, "labels", columns=["photo_id", "country", "area_id"])
    return places.merge(named, on="photo_id", validate="1:1")


def shaping_points(candidates: pd.DataFrame, run_photos: pd.DataFrame, own: bool) -> pd.DataFrame:
    """The photos that shape the cells, out of `candidates`.

    own: the candidates are the run's own photos, of which the training ones shape; else they are another data set, of
    which all shape but those at the places of the run's val and test photos.
    """
    if own:
        training = run_photos.loc[run_photos["split"] == "train", "photo_id"]
        return candidates[candidates["photo_id"].isin(training)]
    held_out = run_photos[run_photos["split"].isin(["val", "test"])]
    if held_out.empty:
        return candidates
    tree = cKDTree(unit_vectors(held_out["latitude"], held_out["longitude"]))
    reach = km_to_chord(HELD_OUT_KM)
    chord, _ = tree.query(unit_vectors(candidates["latitude"], candidates["longitude"]), distance_upper_bound=reach)
    near = np.isfinite(chord)
    log.info("%d of %d shaping photos left out: at the place of a held-out photo", near.sum(), len(candidates))
    return candidates[~near]
