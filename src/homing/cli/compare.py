"""`homing compare`: finished runs side by side, as a table, an HTML page or JSON.

The evaluation is imported when the command runs, so that other commands start quickly.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from homing.errors import HomingError
from homing.files import atomic_path, write_json
from homing.readouts import ANSWER

MAX_WIDTH = 40  # characters of a configuration value on the terminal


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Print the metrics of each run on its own photos, differences from the first run on the photos that both have, "
        "and the configuration keys that differ."
    )
    add = command.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="folders results/runs/<run> of two or more finished runs")
    add("--set", default="test", metavar="NAME", help="photo set: test or the name of a benchmark (default: test)")
    add("--readout", default=ANSWER, metavar="NAME", help=f"readout to compare (default: {ANSWER})")
    add("--output", type=Path, metavar="FILE.html", help="write an HTML page that needs no network")
    add("--json", type=Path, metavar="FILE", help="write all metrics as JSON")
    add("--draws", type=int, default=1000, metavar="N", help="bootstrap draws; 0 for no intervals (default: 1000)")
    add("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")


def compare(options: argparse.Namespace) -> int:
    """Print the comparison and write the requested files. Return the exit status."""
    from homing.evaluate.measures import RADII_KM, Sampling
    from homing.evaluate.runs import compare_runs, read_run

    if len(options.runs) < 2:
        raise HomingError("homing compare: give two or more runs")
    if options.draws < 0:
        raise HomingError(f"--draws {options.draws}: must be 0 or more")
    if options.output and options.output.suffix.lower() != ".html":
        raise HomingError(f"--output {options.output}: must end with .html")
    runs = [read_run(folder, options.set, options.readout) for folder in options.runs]
    sampling = Sampling(options.draws, options.seed, os.cpu_count() or 1)
    found = compare_runs(runs, RADII_KM, sampling)
    print(as_text(found, options.set, options.readout))
    if options.json:
        write_json(options.json, found)
    if options.output:
        from homing.report.comparison import render_comparison

        with atomic_path(options.output) as partial:
            partial.write_text(render_comparison(found, options.set, options.readout), encoding="utf-8")
    return 0


def as_text(found: Mapping[str, Any], photo_set: str, readout: str) -> str:
    """Format metrics, differences and keys for a terminal."""
    parts = [f"Readout {readout!r} on the photo set {photo_set!r}", _figures(found)]
    parts += [_differences(other) for other in found["against"]]
    for part, title in (("configuration", "Keys that differ"), ("made_with", "Code and packages that differ")):
        parts.append(_keys(found, part, title) if found[part] else f"{title}: none")
    return "\n\n".join(parts)


def _names(figures: Mapping[str, Any]) -> list[str]:
    return ["median_km", *(name for name in figures if name.startswith("within_")), "geoscore"]


def _figures(found: Mapping[str, Any]) -> str:
    from homing.evaluate.text import aligned, title_of, value_of

    names = _names(found["runs"][0]["figures"])
    rows = [["", "photos", *(title_of(name) for name in names)]]
    for run in found["runs"]:
        figures = run["figures"]
        rows.append([run["run"], f"{run['photos']:,}", *(value_of(name, figures[name]) for name in names)])
        if "interval_95" in figures:
            rows.append(["", "", *(_bounds(name, figures["interval_95"][name]) for name in names)])
    return aligned(rows)


def _differences(other: Mapping[str, Any]) -> str:
    from homing.evaluate.text import aligned, title_of, value_of

    title = f"{other['run']} against {other['first']}: {other['shared']:,} photos in both"
    if other["only_this"] or other["only_first"]:
        title += f" ({other['only_this']:,} only in {other['run']}, {other['only_first']:,} only in {other['first']})"
    if other["differences"] is None:
        return f"{title}: too few to compare"
    rows = [["", other["first"], other["run"], "difference", "95 % interval"]]
    for name in _names(other["differences"]):
        difference = other["differences"][name]
        values = [value_of(name, other[figures][name]) for figures in ("figures_of_first", "figures")]
        interval = _bounds(name, difference["interval_95"], "+") if "interval_95" in difference else ""
        rows.append([title_of(name), *values, value_of(name, difference["difference"], "+"), interval])
    shares = f"smaller errors in {other['nearer_share']:.1%} of them, larger in {other['farther_share']:.1%}"
    return f"{title}; {shares}\n{aligned(rows)}"


def _bounds(name: str, bounds: tuple[float, float], sign: str = "") -> str:
    from homing.evaluate.text import value_of

    return f"[{value_of(name, bounds[0], sign)}, {value_of(name, bounds[1], sign)}]"


def _keys(found: Mapping[str, Any], part: str, title: str) -> str:
    from homing.evaluate.text import aligned

    names = [run["run"] for run in found["runs"]]
    rows = [list(_cells(row, names)) for row in found[part]]
    return aligned([[title, *names], *rows])


def _cells(row: Mapping[str, Any], names: list[str]) -> Iterator[str]:
    yield row["key"]
    for name in names:
        text = json.dumps(row["values"][name], ensure_ascii=False) if name in row["values"] else "(absent)"
        yield text if len(text) <= MAX_WIDTH else text[: MAX_WIDTH - 1] + "…"
