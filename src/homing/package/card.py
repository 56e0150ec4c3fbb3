"""The model card: what a model was trained on, how good it is, and what it is for."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from homing.report.page import environment

SHOWN = {
    "median_km": "median error, km",
    "mean_km": "mean error, km",
    "geoscore": "GeoScore",
    "within_1_km": "within 1 km",
    "within_25_km": "within 25 km",
    "within_200_km": "within 200 km",
    "within_750_km": "within 750 km",
    "within_2500_km": "within 2,500 km",
    "country_accuracy": "right country",
}


def describe(
    run: str,
    photos: pd.DataFrame,
    metrics: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    leaks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of card.json: all that the card says, in figures.

    photos: photo_id, split and author; metrics: of the test photos; sources: name and licence of all that was used;
    leaks: counts of photos that benchmarks have too.
    """
    config = provenance["config"]
    readouts = {
        name: {key: value for key, value in found.items() if key != "per_country"}
        for name, found in metrics["readouts"].items()
    }
    return {
        "run": run,
        "dataset": config["run_dataset"],
        "encoder": config["model"]["pretrained"] or config["model"]["source"],
        "method": config["geocells"]["method"],
        "cells": metrics["geocell"]["cells"],
        "split_method": config["splits"]["method"],
        "splits": {str(split): int(count) for split, count in photos["split"].value_counts().sort_index().items()},
        "photographers": photographers(photos),
        "sources": [{"name": source["name"], "licence": source["licence"]} for source in sources],
        "leaks": leaks,
        "n_test": metrics["n"],
        "readouts": readouts,
        "git_commit": provenance["git_commit"],
        "versions": {name: provenance["versions"].get(name) for name in ("homing", "torch", "transformers")},
    }


def photographers(photos: pd.DataFrame) -> dict[str, int]:
    """How many test photos have a known photographer, and how many one who is in the training photos too."""
    training = set(photos.loc[photos["split"] == "train", "author"].dropna())
    tested = photos.loc[photos["split"] == "test", "author"].dropna()
    overlap = tested.isin(training)
    return {
        "train": len(training),
        "test": int(tested.nunique()),
        "both": int(tested[overlap].nunique()),
        "test_photos_known": len(tested),
        "test_photos_overlap": int(overlap.sum()),
    }


def render(card: Mapping[str, Any], config: Mapping[str, Any], layout: str = "package") -> str:
    """README.md of a package, of a folder in the Hugging Face layout ("hf")."""
    shown = {name: label for name, label in SHOWN.items() if any(name in found for found in card["readouts"].values())}
    template = environment("package").get_template("card.md.j2")
    return template.render(card=card, config=config, shown=shown, layout=layout)
