"""The photos that shape the cells: training photos only, never those a run is validated or tested on."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing import tables
from homing.sphere import km_to_chord, unit_vectors

log = logging.getLogger(__name__)

HELD_OUT_KM = 1.0  # coordinates this close to a held-out photo count as the same place


def shaping_and_run_photos(files: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the photos that shape the cells, and those of the run with their split; columns as of `read_located`.

    files: paths of photos and labels of the data set that shapes the cells, and run_photos, run_labels and splits.
    """
    splits = tables.read(files["splits"], "splits")
    run_photos = read_located(files["run_photos"], files["run_labels"]).merge(splits, on="photo_id")
    candidates = read_located(files["photos"], files["labels"])
    return shaping_points(candidates, run_photos, own=files["photos"] == files["run_photos"]), run_photos


def read_located(photos: str, labels: str) -> pd.DataFrame:
    """Read photo_id, latitude, longitude, country and area_id of a data set."""
    places = tables.read(photos, "photos", columns=["photo_id", "latitude", "longitude"])
    named = tables.read(labels, "labels", columns=["photo_id", "country", "area_id"])
    return places.merge(named, on="photo_id", validate="1:1")


def shaping_points(candidates: pd.DataFrame, run_photos: pd.DataFrame, own: bool) -> pd.DataFrame:
    """Return the rows of `candidates` that may shape the cells.

    own: the candidates are the photos of the run, of which the training ones may; otherwise they are another data set,
    of which all may but those within HELD_OUT_KM of a val or test photo of the run.
    """
    if own:
        training = run_photos.loc[run_photos["split"] == "train", "photo_id"]
        return candidates[candidates["photo_id"].isin(training)]
    held_out = run_photos[run_photos["split"].isin(["val", "test"])]
    if held_out.empty:
        return candidates
    tree = cKDTree(unit_vectors(held_out["latitude"], held_out["longitude"]))
    max_chord = km_to_chord(HELD_OUT_KM)
    chord, _ = tree.query(unit_vectors(candidates["latitude"], candidates["longitude"]), distance_upper_bound=max_chord)
    near = np.isfinite(chord)
    log.info("%d of %d shaping photos left out: within 1 km of a held-out photo", near.sum(), len(candidates))
    return candidates[~near]
