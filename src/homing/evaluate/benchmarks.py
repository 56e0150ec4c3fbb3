"""Public benchmarks: their number of photos, how photos are named, and checks of a file with the true places."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.evaluate.reading import Places, Problem
from homing.sphere import haversine_km

TOLERANCE_KM = 1.0  # how far a known place may be from its published coordinates
SOUTH = -60  # nobody lives farther south; a share of photos there, with no longitude beyond 90, means swapped columns
MIN_ROWS = 30  # with fewer photos a small region cannot be told from swapped columns


@dataclass(frozen=True)
class Benchmark:
    """Facts of a benchmark.

    names: a regular expression that photo ids match; prefix: another, removed from ids; known: places by the beginning
    of an id; without_truth: beginnings of ids that the benchmark has no place for, whose answers are not reported.
    """

    name: str
    title: str
    photos: int
    names: str
    prefix: str | None = None
    known: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    without_truth: tuple[str, ...] = ()


# Number of photos: IM2GPS, 237 (Hays & Efros, CVPR 2008); IM2GPS3k, 2,997 of whose 3,000 photos have a place, and
# YFCC4k, 4,536 (Vo, Jacobs & Hays, ICCV 2017); YFCC26k, 25,600 (Theiner, Mueller-Budack & Ewerth, WACV 2022);
# OSV-5M, 210,122 test photos (Astruc et al., "OpenStreetView-5M", CVPR 2024, arXiv 2404.18873, as cited elsewhere; the
# rows of its test.csv have not been counted here).
FLICKR = r"\d{3,12}_[0-9a-f]{6,12}(?:_.*)?"
BENCHMARKS = {
    one.name: one
    for one in (
        Benchmark("im2gps", "IM2GPS", 237, FLICKR, prefix=r"^.*_\d{5}_(?=\d{3,12}_[0-9a-f])"),
        Benchmark(
            "im2gps3k",
            "IM2GPS3k",
            2997,
            FLICKR,
            known={"1000269685_": (32.325436, -64.764404)},
            without_truth=("199384251_7860f20c04", "253668751_c8cce71b58", "504935857_52562f0ee0"),
        ),
        Benchmark("yfcc4k", "YFCC4k", 4536, r"\d{3,12}"),
        Benchmark("yfcc26k", "YFCC26k", 25600, r"[0-9a-f]{1,3}_[0-9a-f]{1,3}_\d{3,12}"),
        Benchmark("osv5m", "OSV-5M test", 210122, r"\d{10,20}"),
    )
}


def recognise(photo_ids: pd.Series) -> Benchmark | None:
    """Return the benchmark with this number of photos and such ids, or None."""
    for benchmark in BENCHMARKS.values():
        if len(photo_ids) == benchmark.photos and names_of(photo_ids, benchmark).str.fullmatch(benchmark.names).all():
            return benchmark
    return None


def names_of(photo_ids: pd.Series, benchmark: Benchmark | None) -> pd.Series:
    """Return ids as the benchmark has them, without the prefix that its archive adds."""
    if benchmark is None or benchmark.prefix is None:
        return photo_ids
    return photo_ids.str.replace(benchmark.prefix, "", regex=True)


def check_truth(truth: Places, benchmark: Benchmark | None, expected: int | None) -> list[Problem]:
    """Return problems of a truth file as a whole: a wrong number of photos, ids of another benchmark.

    Raises HomingError if latitude and longitude are swapped, or no photo has a place.
    """
    frame = truth.frame
    if frame.empty:
        raise HomingError(f"{truth.path}: no photo with a place, so there is nothing to score against")
    refuse_swapped(truth)
    problems = []
    if expected is not None and len(frame) != expected:
        message = f"{truth.path}: {len(frame):,} photos with a place, not the {expected:,} expected"
        problems.append(Problem("number of photos", f"{message}; metrics of another number do not compare"))
    if benchmark is not None:
        _refuse_moved(truth, benchmark)
        other = ~frame["photo_id"].str.fullmatch(benchmark.names)
        if other.any():
            first = frame.loc[other, "photo_id"].iloc[0]
            message = f"{truth.path}: {other.sum():,} ids are not of {benchmark.title}, the first is {first!r}"
            problems.append(Problem("names", message, int(other.sum())))
    return problems


def refuse_swapped(truth: Places) -> None:
    """Raise HomingError if latitude and longitude seem swapped: many are out of range, or many lie in Antarctica."""
    outside = sum(problem.count for problem in truth.problems if problem.kind == "out of range")
    latitude, longitude = truth.frame["latitude"], truth.frame["longitude"]
    far_south = len(truth.frame) >= MIN_ROWS and np.mean(latitude < SOUTH) > 0.02 and longitude.abs().max() <= 90
    if outside > 0.02 * (len(truth.frame) + outside) or far_south:
        raise HomingError(
            f"{truth.path}: latitude and longitude are swapped: {outside:,} latitudes beyond 90 degrees, "
            f"{np.mean(latitude < SOUTH):.0%} of the others in Antarctica. Rename the columns"
        )


def _refuse_moved(truth: Places, benchmark: Benchmark) -> None:
    """Raise HomingError if a photo whose place is known is somewhere else."""
    for beginning, place in benchmark.known.items():
        rows = truth.frame[truth.frame["photo_id"].str.match(re.escape(beginning))]
        distance_km = haversine_km(rows["latitude"], rows["longitude"], *place)
        if (distance_km > TOLERANCE_KM).any():
            row = rows[distance_km > TOLERANCE_KM].iloc[0]
            raise HomingError(
                f"{truth.path}: {row['photo_id']} is at {row['latitude']:.5f}, {row['longitude']:.5f}, but lies at "
                f"{place[0]:.5f}, {place[1]:.5f} (latitude, longitude); an early copy of {benchmark.title} has the "
                "two names swapped in its header"
            )
