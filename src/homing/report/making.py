"""Sections on how a run was made: training curves, time and memory of each rule, configuration and versions."""

from collections.abc import Mapping
from typing import Any

import yaml

from homing.report.charts import loss_curves, speed_curves, validation_curve
from homing.report.inputs import Inputs

MAX_CAPTIONS = 8


def training(inputs: Inputs) -> dict[str, Any]:
    """Return the curves of the training stages, and captions of the pretraining."""
    histories = {name: rows for name, rows in inputs.histories.items() if any("loss" in entry for entry in rows)}
    return {
        "losses": {name: loss_curves(rows) for name, rows in histories.items()},
        "speed": speed_curves(histories) if histories else None,
        "validation": validation_curve(inputs.histories["finetune"], "val_median_km", "median error, km"),
        "captions": inputs.captions[:MAX_CAPTIONS],
    }


def costs(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return time and peak memory of each rule, and its time as a share of the longest rule's."""
    seconds, peaks = of_rules(summary, "seconds."), of_rules(summary, "peak_mb.")
    longest = max(seconds.values(), default=1.0) or 1.0
    return [
        {"rule": rule, "seconds": value, "peak_mb": peaks.get(rule), "share": value / longest}
        for rule, value in seconds.items()
    ]


def of_rules(summary: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Return the entries of a summary whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in summary.items() if name.startswith(prefix)}


def provenance(inputs: Inputs) -> dict[str, Any]:
    """Return the configuration as YAML, package versions and the git commit."""
    return {
        "config": yaml.safe_dump(inputs.config, sort_keys=False, allow_unicode=True, width=100),
        "versions": inputs.provenance["versions"],
        "commit": inputs.provenance["git_commit"],
    }
