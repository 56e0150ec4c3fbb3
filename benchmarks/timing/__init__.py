"""What the benchmarks share: scales, medians of several runs, one object of named figures."""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

RUNS = 3


def scale_of(small: int, full: int) -> tuple[int, bool]:
    """The size that `--scale small|full` asks for, and whether `--json` was given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=["small", "full"], default="small")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return (small if options.scale == "small" else full), options.json


def sample_folder() -> str | None:
    """The folder of the sample data, where it is there (docs/sample_data.md)."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HOMING_SAMPLE_DATA", default))
    return str(folder) if folder.is_dir() else None


def median_seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Median wall time of several runs; with `time.process_time`, of the processor's, where a disk would drown it."""
    times = []
    for _ in range(RUNS):
        started = clock()
        work()
        times.append(clock() - started)
    return statistics.median(times)


def show(figures: Mapping[str, float | str | None], as_json: bool) -> None:
    """Print the figures, with the peak memory of this process."""
    figures = dict(figures) | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:44} {value:14,.2f}" if isinstance(value, (int, float)) else f"{name:44} {value!s:>14}")
