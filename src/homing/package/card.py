"""The model card: training data, metrics, intended use and limits of a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from homing.templates import environment

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
    """Return the content of card.json, which the card is rendered from.

    photos: photo_id, split and author; metrics: of the test photos; sources: name and licence of every source; leaks:
    counts of photos that benchmarks have too, None if there was no search.
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


def headline_figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of summary.json that a package keeps: errors in km, accuracy of cells, number of photos."""
    figures = {name: value for name, value in summary.items() if "km" in name or "geocell" in name}
    return figures | {"n_test": summary["n_test"]}


def photographers(photos: pd.DataFrame) -> dict[str, int]:
    """Return how many test photos have a known photographer, and how many one with photos in training."""
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
    """Return README.md of a package, or of a folder in the Hugging Face layout (layout "hf")."""
    shown = {name: label for name, label in SHOWN.items() if any(name in found for found in card["readouts"].values())}
    template = environment("package").get_template("card.md.j2")
    return template.render(card=card, config=config, shown=shown, layout=layout)
