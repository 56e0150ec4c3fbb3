"""Section on the geolocation error: every readout with its intervals, and published systems where they compare."""

from collections.abc import Mapping
from typing import Any

from homing.evaluate.published import comparable_results
from homing.readouts import ANSWER, TITLES
from homing.report.charts import error_curves
from homing.report.inputs import Inputs


def section(inputs: Inputs) -> dict[str, Any]:
    """Return what the template headline_section.html.j2 shows: tables by photo set, and the error curves."""
    dataset = inputs.config["run_dataset"]
    sets = {name: table_of(name if name != "test" else dataset, found) for name, found in inputs.metrics.items()}
    curves = {name: inputs.error_km[name] for name in TITLES if name in inputs.error_km}
    return {
        "test": sets.pop("test"),
        "benchmarks": sets,
        "curves": error_curves(curves),
        "intervals": inputs.test["readouts"][ANSWER]["clusters"],
    }


def table_of(dataset: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of a photo set: its readouts, and published systems or the reason why none compares."""
    systems, why = comparable_results(dataset, found["n"])
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
    """Return the columns of a headline table: title by name of the figure."""
    radii = {name: f"≤ {float(name[7:-3]):,g} km" for name in row if name.startswith("within_")}
    return {"median_km": "Median", **radii, "geoscore": "GeoScore"}
