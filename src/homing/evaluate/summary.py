"""summary.json: the headline metrics of a run as one flat object, with units in the names."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

HEADLINES = ("median_km", "mean_km", "geoscore")
PREFIXES = {"classifier": "", "refined": "refined_", "constant": "constant_guess_", "thumbnail": "thumbnail_"}


def summarise(run: str, metrics: Mapping[str, Any], benchmarks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of summary.json from the metrics of the test set, and of benchmarks by name."""
    summary = {"run": run, "n_test": metrics["n"], "geocells": metrics["geocell"]["cells"]}
    summary |= _readouts(metrics)
    summary |= {f"geocell_{name}": metrics["geocell"][name] for name in ("accuracy", "top5", "chance")}
    for task, entry in metrics["tasks"].items():
        for name in (entry["metric"], "baseline", "better"):
            summary[f"tasks.{task}.{name}"] = entry[name]
    for photo_set, found in benchmarks.items():
        values = {"n": found["n"]} | _readouts(found)
        summary |= {f"benchmarks.{photo_set}.{name}": value for name, value in values.items()}
    return summary


def _readouts(metrics: Mapping[str, Any]) -> dict[str, Any]:
    summary = {}
    for readout, prefix in PREFIXES.items():
        for name, value in metrics["readouts"].get(readout, {}).items():
            if name in HEADLINES or name.startswith("within_"):
                summary[f"{prefix}{name}"] = value
    return summary


def durations(folder: str | Path, run: str, used: Collection[str]) -> dict[str, float]:
    """Return seconds.<rule> and peak_mb.<rule> of a run, from the benchmark files that Snakemake writes into `folder`.

    The seconds of a rule are the sum over its jobs, the peak is their maximum. used: data sets and sources of the run,
    whose shared rules (downloads, photos, labels) are included.
    """
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}
    for path in sorted(Path(folder).rglob("*.tsv")):
        first, *rest = path.relative_to(folder).with_suffix("").parts
        place = "/".join(rest)
        if first == run:
            rule = rest[0]
        elif not rest or any(place == name or place.startswith(f"{name}/") for name in used):
            rule = first
        else:
            continue
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                seconds[rule] = seconds.get(rule, 0.0) + float(row["s"])
                if row["max_rss"] not in ("NA", "-", ""):
                    peaks[rule] = max(peaks.get(rule, 0.0), float(row["max_rss"]))
    timed = {f"seconds.{rule}": round(value, 1) for rule, value in sorted(seconds.items())}
    return timed | {f"peak_mb.{rule}": round(value) for rule, value in sorted(peaks.items())}
