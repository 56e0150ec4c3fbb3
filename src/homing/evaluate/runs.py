"""Finished runs side by side: figures of each, paired differences on the photos they share, keys they differ in."""

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

NAMED = (
    "run",
    "variants",
    "datasets",
)  # keys of the configuration that name things, and change no figure by themselves
FEWEST = 2  # photos that two runs share, to be compared


@dataclass(frozen=True)
class Run:
    """A run's answers to its photos of a set: photo_id, latitude, longitude and author of each, and its error."""

    name: str
    photos: pd.DataFrame
    away_km: np.ndarray  # (n,)
    provenance: Mapping[str, Any]

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return self.provenance["config"]


def read_run(folder: str | Path, photo_set: str, readout: str) -> Run:
    """The run in a folder `results/runs/<run>`, beside which its photos lie in `results/photos`.

    Raises HomingError for a folder that is no finished run, or has no such photo set or readout.
    """
    folder = Path(folder).resolve()
    if not (folder / "provenance.json").is_file():
        what = "has no provenance.json" if folder.is_dir() else "is no folder"
        raise HomingError(
            f"{folder}: no finished run, it {what}; give results/runs/<run> of a run that came to its end"
        )
    provenance = read_json(folder / "provenance.json")
    predictions = folder / "predictions" / photo_set / f"{readout}.parquet"
    if not predictions.is_file():
        raise HomingError(f"{predictions}: no such predictions; {_choices(folder / 'predictions', photo_set)}")
    own = photo_set in ("train", "val", "test")
    dataset = provenance["config"]["run_dataset"] if own else photo_set
    path = folder.parents[1] / "photos" / dataset / "photos.parquet"
    photos = tables.read(path, "photos", columns=["photo_id", "latitude", "longitude", "author"])
    if own:
        chosen = in_set(tables.read(folder / "splits.parquet", "splits"), photo_set)
        photos = photos[photos["photo_id"].isin(chosen)].reset_index(drop=True)
    answers = tables.read(predictions, "predictions")
    if answers.empty:
        raise HomingError(f"{predictions}: empty, the run's refine.readout leaves {readout!r} out; choose another")
    return Run(provenance["config"]["run"], photos, distances_km(photos, answers), provenance)


def _choices(folder: Path, photo_set: str) -> str:
    """What can be asked for instead, in words."""
    sets = sorted(path.name for path in folder.glob("*") if path.is_dir())
    if photo_set not in sets:
        return f"photo sets of this run: {', '.join(sets) or 'none'}"
    return f"readouts: {', '.join(sorted(path.stem for path in (folder / photo_set).glob('*.parquet')))}"


def compare_runs(runs: Sequence[Run], radii_km: Sequence[float], sampling: Sampling) -> dict[str, Any]:
    """Figures of each run on its own photos; of each but the first, the differences from it on the photos both have.

    A photo is shared when its id and its place are the same in both. The differences have intervals from the same
    draws of photographers for both.
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
    """Number of photos and photographers, and the figures with intervals."""
    clusters = cluster_numbers(run.photos["author"])
    figures = measure(run.away_km, {}, radii_km, clusters, sampling).figures()
    return {"photos": len(run.photos), "photographers": int(clusters.max()) + 1, "figures": figures}


def paired(run: Run, first: Run, radii_km: Sequence[float], sampling: Sampling) -> dict[str, Any]:
    """run - first on the photos that both have: figures of each and their differences; None where none are shared."""
    own, theirs = (one.photos.assign(away_km=one.away_km) for one in (run, first))
    shared = own.merge(theirs.drop(columns="author"), on=["photo_id", "latitude", "longitude"], suffixes=("", "_first"))
    found = {"shared": len(shared), "only_this": len(own) - len(shared), "only_first": len(theirs) - len(shared)}
    if len(shared) < FEWEST:
        return found | {"differences": None}
    clusters = cluster_numbers(shared["author"])
    away = (shared["away_km"].to_numpy(), shared["away_km_first"].to_numpy())
    mine, other = (measure(one, {}, radii_km, clusters, sampling) for one in away)
    return found | {
        "figures": dict(mine.values),
        "figures_of_first": dict(other.values),
        "differences": differences(mine, other),
        "nearer_share": float(np.mean(away[0] < away[1])),
        "farther_share": float(np.mean(away[0] > away[1])),
    }


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a configuration, and of its data sets the run's own."""
    chosen = {name: value for name, value in config.items() if name not in NAMED}
    return flat(chosen | {"datasets": {config["run_dataset"]: config["datasets"][config["run_dataset"]]}})


def _made_with(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {"commit": provenance["git_commit"], **provenance["versions"]}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as one level of keys, joined by dots."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        found |= flat(value, f"{key}.") if isinstance(value, Mapping) and value else {key: value}
    return found


def key_differences(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The keys whose values are not the same in all runs, with each run's value; absent ones are missing."""
    keys = dict.fromkeys(key for one in settings for key in one)
    rows = []
    for key in keys:
        values = {name: one[key] for name, one in zip(names, settings, strict=True) if key in one}
        if len(values) < len(names) or any(value != settings[0][key] for value in values.values()):
            rows.append({"key": key, "values": values})
    return rows
