"""Section on error ceilings: the best answer that each stage allows, beside the answer of the model."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from homing.readouts import ANSWER
from homing.report.headline import figures_of
from homing.report.inputs import Inputs

POINTS = {"photo": "training photo", "prototype": "prototype"}
WORDS = (
    (r"first_cell", "Centroid of the first cell: the classifier’s answer"),
    (r"best_of_(\d+)_cells", r"Nearest centroid of the \1 best cells"),
    (r"(\w+?)_in_first_cell", r"Nearest \1 in the first cell"),
    (r"(\w+?)_in_(\d+)_cells", r"Nearest \1 in the \2 best cells"),
    (r"(\w+?)_in_true_cell", r"Nearest \1 in the true cell"),
)
STRIP_KM = (1.0, 20015.0)  # the range of the strip chart of each rung


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Return the rungs, the answer's own first, or None if the cells of the photos are not known."""
    ceilings = inputs.test["ceilings"]
    if ceilings is None:
        return None
    answer = inputs.test["readouts"][ANSWER]
    rungs = [rung("The answer of the model", answer, answer) | {"own": True}]
    rungs += [rung(title_of(name), figures, answer) | {"own": False} for name, figures in ceilings.items()]
    return {"rungs": rungs, "radii": {name: title for name, title in figures_of(answer).items() if "within_" in name}}


def title_of(name: str) -> str:
    """Return the title of a stage; an unknown stage is titled by its name."""
    for pattern, words in WORDS:
        if found := re.fullmatch(pattern, name):
            title = found.expand(words)
            point = found[1] if found.groups() else ""
            return title.replace(f"Nearest {point}", f"Nearest {POINTS.get(point, point.replace('_', ' '))}", 1)
    return name.replace("_", " ").capitalize()


def rung(title: str, figures: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row: its figures, positions of its quartiles on the strip, its median as a share of the answer's."""
    low, median, high = (position(figures[name]) for name in ("p25_km", "median_km", "p75_km"))
    return {
        "title": title,
        "figures": figures,
        "left": low,
        "width": high - low,
        "median": median,
        "share": figures["median_km"] / max(answer["median_km"], 0.1),
    }


def position(distance_km: float) -> float:
    """Return the position of a distance on the logarithmic strip, in percent of its length."""
    low, high = np.log(STRIP_KM)
    return float(100 * (np.log(np.clip(distance_km, *STRIP_KM)) - low) / (high - low))
