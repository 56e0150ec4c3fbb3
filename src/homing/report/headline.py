"""Section: how far off, every readout with its intervals, and published systems where they compare."""

from collections.abc import Mapping
from typing import Any

from homing.evaluate.published import beside
from homing.readouts import ANSWER, TITLES
from homing.report.charts import error_curves
from homing.report.inputs import Inputs


def section(inputs: Inputs) -> dict[str, Any]:
    """Tables of the test photos and of each benchmark, and the curves of the errors."""
    dataset = inputs.config["run_dataset"]
    sets = {name: table_of(name if name != "test" else dataset, found) for name, found in inputs.metrics.items()}
    curves = {name: inputs.away_km[name] for name in TITLES if name in inputs.away_km}
    return {
        "test": sets.pop("test"),
        "benchmarks": sets,
        "curves": error_curves(curves),
        "intervals": inputs.test["readouts"][ANSWER]["clusters"],
    }


def table_of(dataset: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of a photo set: readouts, and published systems or why there are none."""
    systems, why = beside(dataset, found["n"])
    readouts = {name: found["readouts"][name] for name in TITLES if name in found["readouts"]}
    return {
        "dataset": dataset,
        "photos": found["n"],
        "figures": figures_of(readouts[ANSWER]),
        "readouts": readouts,
        "published": systems,
        "unpublished": why,
    }


def figures_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a headline table: name of the figure and its title."""
    radii = {name: f"≤ {float(name[7:-3]):,g} km" for name in row if name.startswith("within_")}
    return {"median_km": "Median", **radii, "geoscore": "GeoScore"}
