"""`homing evaluate`: any file of predictions against the truth.

The figures' own modules are imported when the command runs, so that other commands start at once.
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

NEAREST_KM = 100.0  # an answer off the coast counts to the nearest area within this


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What the command takes."""
    command.description = (
        "Score a CSV or Parquet file of photo_id, latitude and longitude. The status is 0, 1 when "
        "something is wrong with some rows (told on stderr, the others are scored), 2 when nothing can be scored."
    )
    add = command.add_argument
    add("predictions", type=Path, metavar="PREDICTIONS", help="photo_id, latitude, longitude; rank 0 where ranked")
    add("--truth", type=Path, required=True, help="the same of the true places; author, country where known")
    add("--against", type=Path, metavar="FILE", help="other predictions, compared photo by photo")
    add("--benchmark", metavar="NAME",
        help="im2gps, im2gps3k, yfcc4k, yfcc26k or osv5m (else found by number and names)")  # fmt: skip
    add("--expect", type=int, metavar="N", help="number of photos the truth must have")
    add("--radius", type=float, action="append", metavar="KM", help="may be repeated (1 25 200 750 2500)")
    add("--draws", type=int, default=1000, metavar="N", help="bootstrap draws; 0: no intervals (1000)")
    add("--seed", type=int, default=0, help="of the draws (0)")
    add("--cluster", choices=["author", "place", "photo"], help="what is drawn (author where known, else place)")
    add(
        "--areas", type=Path, metavar="FILE", help="boundaries, for countries and regions: an edition, or areas.parquet"
    )
    add("--labels", type=Path, metavar="FILE", help="a labels table: the true countries and regions")
    add("--splits", type=Path, metavar="FILE", help="a splits table: only photos of --set count")
    add("--set", default="test", help="which split (test)")
    add("--leaks", type=Path, metavar="FILE", help="a leaks table: photos that training photos match are told apart")
    add("--json", type=Path, metavar="FILE", help="write all figures; - for standard output instead of the table")


def evaluate(options: argparse.Namespace) -> int:
    """Score, print, and say by the status whether every row was good."""
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
        raise HomingError("--radius: kilometres, 0 or more")
    if options.draws < 0:
        raise HomingError(f"--draws {options.draws}: 0 or more")
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
    """Country and region of places, by the boundaries in a file. Raises HomingError."""
    import geopandas as gpd

    from homing.labels.boundaries import read_areas
    from homing.labels.grid import Grid
    from homing.labels.names import name_places

    if not path.exists():
        raise HomingError(f"--areas {path}: no such file")
    areas = gpd.read_parquet(path) if path.suffix == ".parquet" else read_areas([path])
    return partial(name_places, Grid.of(areas.geometry.to_numpy()), areas, NEAREST_KM)
