"""The page of `homing compare`: several runs side by side, and the confidence intervals of their differences."""

from collections.abc import Mapping
from typing import Any

from homing.report.headline import figures_of
from homing.templates import environment

LOWER_IS_BETTER = "_km"  # ending of the figures of which a smaller one is better, unless they are shares


def render_comparison(found: Mapping[str, Any], photo_set: str, readout: str) -> str:
    """Return the HTML of what `evaluate.runs.compare_runs` found."""
    titles = figures_of(found["runs"][0]["figures"])
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(found=found, titles=titles, photo_set=photo_set, readout=readout, verdict=verdict)
    )


def verdict(name: str, difference: Mapping[str, Any]) -> str:
    """Return "better" or "worse", or "open" if the interval of the difference holds 0 or there is none."""
    low, high = difference.get("interval_95", (0, 0))
    if low <= 0 <= high:
        return "open"
    smaller = name.endswith(LOWER_IS_BETTER) and not name.startswith("within_")
    return "better" if (high < 0) == smaller else "worse"
