"""How long planning takes, and how well shipped rates predict a finished run: predicted over measured seconds by rule.

`--finished` is a checkout with finished runs of the configuration (default: this checkout, with the demo).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from homing.plan.estimate import Plan, Request, make_plan
from homing.plan.jobs import ROOT
from homing.plan.rates import benchmark_seconds

CONFIGURATION: dict[str, list[str]] = {"small": [], "full": [str(ROOT / "config/pigeotto.yaml")]}


def main() -> None:
    """Plan, compare with a finished run and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=list(CONFIGURATION), default="small", help="the demo, or PIGEOTTO")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--finished", type=Path, default=ROOT)
    parser.add_argument("--configfile", nargs="+", default=None)
    options = parser.parse_args()
    files = options.configfile or CONFIGURATION[options.scale]
    with tempfile.TemporaryDirectory() as empty:  # no measurements there, so that shipped rates count
        started = time.perf_counter()
        plan = make_plan(Request(Path(empty), [str(Path(file).absolute()) for file in files]))
    found = {"seconds": time.perf_counter() - started, "jobs": len(plan.jobs)} | compared(plan, options.finished)
    print(json.dumps(found, indent=1) if options.json else as_lines(found))


def compared(plan: Plan, folder: Path) -> dict[str, float]:
    """Return predicted over measured seconds, by rule and for all jobs with a benchmark file."""
    predicted: dict[str, float] = defaultdict(float)
    measured: dict[str, float] = defaultdict(float)
    for job, seconds in plan.seconds.items():
        path = folder / job.benchmark if job.benchmark else None
        if path and path.is_file():
            predicted[job.rule] += seconds
            measured[job.rule] += benchmark_seconds(path)
    if not measured:
        return {}
    ratios = {rule: predicted[rule] / measured[rule] for rule in measured}
    return {
        "rules_compared": len(ratios),
        "rules_within_a_factor_of_2": sum(0.5 <= ratio <= 2 for ratio in ratios.values()),
        "predicted_seconds": sum(predicted.values()),
        "measured_seconds": sum(measured.values()),
        "predicted_over_measured": sum(predicted.values()) / sum(measured.values()),
        "predicted_over_measured_median": statistics.median(ratios.values()),
        **{f"predicted_over_measured.{rule}": ratio for rule, ratio in ratios.items()},
    }


def as_lines(found: dict[str, float]) -> str:
    """Format one figure per line."""
    return "\n".join(f"{name:<52} {value:.4g}" for name, value in found.items())


if __name__ == "__main__":
    main()
