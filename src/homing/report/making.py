"""Sections on how a run was made: training, data and licences, time and memory, configuration."""

from collections.abc import Mapping
from typing import Any

import yaml

from homing.report.charts import loss_curves, speed_curves, validation_curve
from homing.report.inputs import Inputs

CAPTIONS = 8  # shown


def training(inputs: Inputs) -> dict[str, Any]:
    """Curves of the stages that were trained, and captions of the pretraining."""
    histories = {name: rows for name, rows in inputs.histories.items() if any("loss" in entry for entry in rows)}
    return {
        "losses": {name: loss_curves(rows) for name, rows in histories.items()},
        "speed": speed_curves(histories) if histories else None,
        "validation": validation_curve(inputs.histories["finetune"], "val_median_km", "median error, km"),
        "captions": inputs.captions[:CAPTIONS],
    }


def costs(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Seconds and peak memory of each rule, and its share of the longest."""
    seconds, peaks = of_rules(summary, "seconds."), of_rules(summary, "peak_mb.")
    longest = max(seconds.values(), default=1.0) or 1.0
    return [
        {"rule": rule, "seconds": value, "peak_mb": peaks.get(rule), "share": value / longest}
        for rule, value in seconds.items()
    ]


def of_rules(summary: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """The entries of a summary whose names begin with the prefix."""
    return {name.removeprefix(prefix): value for name, value in summary.items() if name.startswith(prefix)}


def provenance(inputs: Inputs) -> dict[str, Any]:
    """Configuration as YAML, versions, commit."""
    return {
        "config": yaml.safe_dump(inputs.config, sort_keys=False, allow_unicode=True, width=100),
        "versions": inputs.provenance["versions"],
        "commit": inputs.provenance["git_commit"],
    }
