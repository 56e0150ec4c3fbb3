"""`homing evaluate`: score a file of predictions against the true places.

The evaluation is imported when the command runs, so that other commands start quickly.
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from homing.errors import HomingError
from homing.files import write_json

if TYPE_CHECKING:
    from homing.evaluate.countries import Locate
    from homing.evaluate.evaluation import Settings

NEAREST_KM = 100.0  # an answer off the coast counts as in the nearest area within this distance


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Score a CSV or Parquet file of photo_id, latitude and longitude. The exit status is 0; 1 if some rows are "
        "invalid (reported on stderr, the others are scored); 2 if nothing can be scored."
    )
    add = command.add_argument
    add("predictions", type=Path, metavar="PREDICTIONS", help="columns photo_id, latitude, longitude; rank if ranked")
    add("--truth", type=Path, required=True, help="the same columns with the true places; author and country if known")
    add("--against", type=Path, metavar="FILE", help="other predictions to compare with, photo by photo")
    add("--benchmark", metavar="NAME",
        help="im2gps, im2gps3k, yfcc4k, yfcc26k or osv5m (default: recognised by its photos)")  # fmt: skip
    add("--expect", type=int, metavar="N", help="number of photos that the truth must have")
    add("--radius", type=float, action="append", metavar="KM",
        help="report the share within this distance; may be repeated (default: 1 25 200 750 2500)")  # fmt: skip
    add("--draws", type=int, default=1000, metavar="N", help="bootstrap draws; 0 for no intervals (default: 1000)")
    add("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    add("--cluster", choices=["author", "place", "photo"],
        help="unit of the bootstrap (default: author if known, else place)")  # fmt: skip
    add("--areas", type=Path, metavar="FILE",
        help="boundaries for countries and regions: an edition, or areas.parquet")  # fmt: skip
    add("--labels", type=Path, metavar="FILE", help="labels table with the true countries and regions")
    add("--splits", type=Path, metavar="FILE", help="splits table: score only the photos of --set")
    add("--set", default="test", help="split to score (default: test)")
    add("--leaks", type=Path, metavar="FILE", help="leaks table: report photos that match training photos separately")
    add("--json", type=Path, metavar="FILE", help="write all metrics as JSON; - prints them instead of the table")


def evaluate(options: argparse.Namespace) -> int:
    """Score and print. Return the exit status: 0, or 1 if some rows are invalid."""
    from homing.evaluate import evaluation
    from homing.evaluate.reading import read_places
    from homing.evaluate.text import as_text

    settings = _settings(options)
    truth = evaluation.read_truth(options.truth, options.labels, options.splits, options.set)
    against = read_places(options.against, "predictions") if options.against else None
    found = evaluation.evaluate(truth, read_places(options.predictions, "predictions"), settings, against)
    if str(options.json) == "-":
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        print(as_text(found))
        if options.json:
            write_json(options.json, found)
    for problem in found["problems"]:
        print(f"homing: {problem['message']}", file=sys.stderr)
    return 1 if found["problems"] else 0


def _settings(options: argparse.Namespace) -> "Settings":
    from homing.evaluate.evaluation import RADII_KM, Sampling, Settings

    radii = tuple(sorted(options.radius)) if options.radius else RADII_KM
    if not all(0 <= radius < float("inf") for radius in radii):
        raise HomingError("--radius: must be kilometres, 0 or more")
    if options.draws < 0:
        raise HomingError(f"--draws {options.draws}: must be 0 or more")
    return Settings(
        radii_km=radii,
        benchmark=options.benchmark,
        expected=options.expect,
        cluster=options.cluster,
        sampling=Sampling(options.draws, options.seed, os.cpu_count() or 1),
        locate=_locate(options.areas) if options.areas else None,
        leaks=options.leaks,
    )


def _locate(path: Path) -> "Locate":
    """Return a function that finds country and region of places by the boundaries in a file. Raises HomingError."""
    import geopandas as gpd

    from homing.labels.boundaries import read_areas
    from homing.labels.grid import Grid
    from homing.labels.names import name_places

    if not path.exists():
        raise HomingError(f"--areas {path}: no such file")
    areas = gpd.read_parquet(path) if path.suffix == ".parquet" else read_areas([path])
    return partial(name_places, Grid.of(areas.geometry.to_numpy()), areas, NEAREST_KM)
