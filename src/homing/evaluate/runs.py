"""Comparison of finished runs: metrics, paired differences on shared photos, and differences of configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from homing import tables
from homing.errors import HomingError
from homing.evaluate.bootstrap import cluster_numbers
from homing.evaluate.distances import distances_km
from homing.evaluate.measures import Sampling, differences, measure
from homing.files import read_json
from homing.photos.splits import in_set

NAMING_KEYS = ("run", "variants", "datasets")  # keys of the configuration that change no metric by themselves
MIN_SHARED = 2  # photos that two runs must share to be compared


@dataclass(frozen=True)
class Run:
    """The answers of a run to a photo set. photos: photo_id, latitude, longitude, author; error_km: (n,)."""

    name: str
    photos: pd.DataFrame
    error_km: np.ndarray
    provenance: Mapping[str, Any]

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return self.provenance["config"]


def read_run(folder: str | Path, photo_set: str, readout: str) -> Run:
    """Read the run in a folder `results/runs/<run>`, whose photos are in `results/photos`.

    Raises HomingError if the folder is not a finished run, or has no such photo set or readout.
    """
    folder = Path(folder).resolve()
    if not (folder / "provenance.json").is_file():
        what = "has no provenance.json" if folder.is_dir() else "is no folder"
        raise HomingError(f"{folder}: no finished run, it {what}; give results/runs/<run> of a finished run")
    provenance = read_json(folder / "provenance.json")
    predictions = folder / "predictions" / photo_set / f"{readout}.parquet"
    if not predictions.is_file():
        raise HomingError(f"{predictions}: no such predictions; {_choices(folder / 'predictions', photo_set)}")
    is_split = photo_set in ("train", "val", "test")
    dataset = provenance["config"]["run_dataset"] if is_split else photo_set
    path = folder.parents[1] / "photos" / dataset / "photos.parquet"
    photos = tables.read(path, "photos", columns=["photo_id", "latitude", "longitude", "author"])
    if is_split:
        chosen = in_set(tables.read(folder / "splits.parquet", "splits"), photo_set)
        photos = photos[photos["photo_id"].isin(chosen)].reset_index(drop=True)
    answers = tables.read(predictions, "predictions")
    if answers.empty:
        raise HomingError(f"{predictions}: empty, since the run's refine.readout has no {readout!r}; choose another")
    return Run(provenance["config"]["run"], photos, distances_km(photos, answers), provenance)


def _choices(folder: Path, photo_set: str) -> str:
    """Return the photo sets of a run, or the readouts of one, for a message."""
    sets = sorted(path.name for path in folder.glob("*") if path.is_dir())
    if photo_set not in sets:
        return f"photo sets of this run: {', '.join(sets) or 'none'}"
    return f"readouts: {', '.join(sorted(path.stem for path in (folder / photo_set).glob('*.parquet')))}"


def compare_runs(runs: Sequence[Run], radii_km: Sequence[float], sampling: Sampling) -> dict[str, Any]:
    """Return the metrics of each run on its own photos, and differences from the first run on the photos both have.

    A photo is shared if its id and its place are the same in both runs. The differences have paired intervals.
    """
    numbered = [f"{run.name} ({number})" for number, run in enumerate(runs, 1)]
    names = [run.name for run in runs] if len({run.name for run in runs}) == len(runs) else numbered
    return {
        "runs": [{"run": name, **figures_of(run, radii_km, sampling)} for name, run in zip(names, runs, strict=True)],
        "intervals": {"draws": sampling.draws, "seed": sampling.seed},
        "against": [
            {"run": name, "first": names[0], **paired(run, runs[0], radii_km, sampling)}
            for name, run in zip(names[1:], runs[1:], strict=True)
        ],
        "configuration": key_differences(names, [_settings(run.config) for run in runs]),
        "made_with": key_differences(names, [_made_with(run.provenance) for run in runs]),
    }


def figures_of(run: Run, radii_km: Sequence[float], sampling: Sampling) -> dict[str, Any]:
    """Return the number of photos and photographers, and the metrics with intervals."""
    clusters = cluster_numbers(run.photos["author"])
    figures = measure(run.error_km, {}, radii_km, clusters, sampling).figures()
    return {"photos": len(run.photos), "photographers": int(clusters.max()) + 1, "figures": figures}


def paired(run: Run, first: Run, radii_km: Sequence[float], sampling: Sampling) -> dict[str, Any]:
    """Return metrics of both runs on the photos that both have, and run - first; differences are None if too few."""
    own, theirs = (one.photos.assign(error_km=one.error_km) for one in (run, first))
    shared = own.merge(theirs.drop(columns="author"), on=["photo_id", "latitude", "longitude"], suffixes=("", "_first"))
    found = {"shared": len(shared), "only_this": len(own) - len(shared), "only_first": len(theirs) - len(shared)}
    if len(shared) < MIN_SHARED:
        return found | {"differences": None}
    clusters = cluster_numbers(shared["author"])
    own_km, first_km = shared["error_km"].to_numpy(), shared["error_km_first"].to_numpy()
    measured, baseline = (measure(error_km, {}, radii_km, clusters, sampling) for error_km in (own_km, first_km))
    return found | {
        "figures": dict(measured.values),
        "figures_of_first": dict(baseline.values),
        "differences": differences(measured, baseline),
        "nearer_share": float(np.mean(own_km < first_km)),
        "farther_share": float(np.mean(own_km > first_km)),
    }


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat configuration; of its data sets only the run's own."""
    chosen = {name: value for name, value in config.items() if name not in NAMING_KEYS}
    return flat(chosen | {"datasets": {config["run_dataset"]: config["datasets"][config["run_dataset"]]}})


def _made_with(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {"commit": provenance["git_commit"], **provenance["versions"]}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration as one level of keys joined by dots."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        found |= flat(value, f"{key}.") if isinstance(value, Mapping) and value else {key: value}
    return found


def key_differences(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys whose values differ between runs, with the value of each run that has the key."""
    keys = dict.fromkeys(key for one in settings for key in one)
    rows = []
    for key in keys:
        values = {name: one[key] for name, one in zip(names, settings, strict=True) if key in one}
        if len(values) < len(names) or any(value != settings[0][key] for value in values.values()):
            rows.append({"key": key, "values": values})
    return rows
