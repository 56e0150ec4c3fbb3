"""Section: what each stage could reach at best, beside the answer that was given."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from homing.readouts import ANSWER
from homing.report.headline import figures_of
from homing.report.inputs import Inputs

POINTS = {"photo": "training photo", "prototype": "prototype"}
WORDS = (
    (r"first_cell", "Middle of the first cell: the classifier’s answer"),
    (r"best_of_(\d+)_cells", r"Nearest middle of the \1 best cells"),
    (r"(\w+?)_in_first_cell", r"Nearest \1 in the first cell"),
    (r"(\w+?)_in_(\d+)_cells", r"Nearest \1 in the \2 best cells"),
    (r"(\w+?)_in_true_cell", r"Nearest \1 in the true cell"),
)
ENDS_KM = (1.0, 20015.0)  # of the strip that is drawn of each rung


def section(inputs: Inputs) -> dict[str, Any] | None:
    """The rungs, the answer's own first; None where the photos' cells are not known."""
    ceilings = inputs.test["ceilings"]
    if ceilings is None:
        return None
    answer = inputs.test["readouts"][ANSWER]
    rungs = [rung("The answer that was given", answer, answer) | {"own": True}]
    rungs += [rung(title_of(name), figures, answer) | {"own": False} for name, figures in ceilings.items()]
    return {"rungs": rungs, "radii": {name: title for name, title in figures_of(answer).items() if "within_" in name}}


def title_of(name: str) -> str:
    """A stage in words; one that is not known by its own name."""
    for pattern, words in WORDS:
        if found := re.fullmatch(pattern, name):
            told = found.expand(words)
            point = found[1] if found.groups() else ""
            return told.replace(f"Nearest {point}", f"Nearest {POINTS.get(point, point.replace('_', ' '))}", 1)
    return name.replace("_", " ").capitalize()


def rung(title: str, figures: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """A row: its figures, where its quartiles are drawn, its median as a share of the answer's."""
    low, middle, high = (position(figures[name]) for name in ("p25_km", "median_km", "p75_km"))
    return {
        "title": title,
        "figures": figures,
        "left": low,
        "width": high - low,
        "middle": middle,
        "share": figures["median_km"] / max(answer["median_km"], 0.1),
    }


def position(distance_km: float) -> float:
    """Percent of the strip's length, which is logarithmic."""
    low, high = np.log(ENDS_KM)
    return float(100 * (np.log(np.clip(distance_km, *ENDS_KM)) - low) / (high - low))
