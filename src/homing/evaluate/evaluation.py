"""The evaluator: a file of predictions against a file of the truth, by the same rules for everybody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from homing import tables
from homing.errors import HomingError
from homing.evaluate.benchmarks import BENCHMARKS, Benchmark, check_truth, names_of, recognise
from homing.evaluate.bootstrap import cluster_numbers
from homing.evaluate.countries import Locate, continents, three_letters
from homing.evaluate.distances import FARTHEST_KM, away_km, rows_of
from homing.evaluate.leaks import describe_leaks
from homing.evaluate.measures import RADII_KM, Measured, Sampling, by_group, differences, hit, measure
from homing.evaluate.published import published
from homing.evaluate.reading import EXAMPLES, Places, Problem, read_places
from homing.sphere import EARTH_RADIUS_KM, haversine_km

RULES = (
    f"within a radius: great-circle distance <= radius, on a sphere of {EARTH_RADIUS_KM} km",
    f"a photo without a usable answer is wrong at every radius, {FARTHEST_KM:,.0f} km away",
    "every photo of the truth counts once; answers to other photos do not count",
)
PLACE_DEGREES = 0.1  # photos in the same box of this size are one place
CLUSTERS = {"author": "photographers", "place": "places of 0.1 degrees", "photo": "photos"}
FEWEST_ROWS = 30  # too few to tell swapped columns from bad answers


@dataclass(frozen=True)
class Settings:
    """What is asked for. `benchmark` and `cluster` are found out where they are None."""

    radii_km: tuple[float, ...] = RADII_KM
    benchmark: str | None = None
    expected: int | None = None
    cluster: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    locate: Locate | None = None
    leaks: Path | None = None


@dataclass(frozen=True)
class Truth:
    """The photos that count, their clusters and labels, and what is wrong with them."""

    frame: pd.DataFrame  # photo_id, latitude, longitude, and where known country and region
    benchmark: Benchmark | None
    expected: int | None
    cluster: str
    clusters: np.ndarray
    problems: list[Problem]


@dataclass(frozen=True)
class Answers:
    """Distances and hits of one file of predictions on the truth."""

    away: np.ndarray
    answered: np.ndarray
    hits: Mapping[str, np.ndarray]
    problems: list[Problem]


def evaluate(truth: Places, predictions: Places, settings: Settings, against: Places | None = None) -> dict[str, Any]:
    """All figures, ready for JSON; `problems` lists what was wrong with the files. Raises HomingError."""
    photos = prepare_truth(truth, settings)
    answers = answer(photos, predictions, settings)
    measured = _measured(photos, answers, settings)
    found = _heading(truth, predictions, photos, answers, settings)
    found["figures"] = measured.figures()
    if not answers.answered.all() and answers.answered.any():
        found["figures_of_answered"] = _subset(photos, answers, answers.answered, settings)
    if "country" in photos.frame:
        continent = continents(photos.frame["country"])
        for name, groups in (("per_continent", continent), ("per_country", photos.frame["country"])):
            arguments = (answers.away, answers.hits, settings.radii_km, photos.clusters, settings.sampling)
            found[name] = by_group(groups, *arguments)
    if settings.leaks:
        found["leaks"] = _leaks(photos, answers, settings)
    problems = [*photos.problems, *answers.problems]
    if against is not None:
        other = answer(photos, against, settings)
        found["against"] = _compared(against, other, answers, measured, _measured(photos, other, settings))
        problems += other.problems
    comparable = photos.expected is None or len(photos.frame) == photos.expected
    found["published"] = published(photos.benchmark.name) if photos.benchmark and comparable else []
    return found | {"problems": [problem.as_dict() for problem in problems]}


def prepare_truth(truth: Places, settings: Settings) -> Truth:
    """Which benchmark it is, what is wrong with it, and the clusters of its photos."""
    if settings.benchmark is not None and settings.benchmark not in BENCHMARKS:
        raise HomingError(f"--benchmark {settings.benchmark}: known are {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[settings.benchmark] if settings.benchmark else recognise(truth.frame["photo_id"])
    truth.frame["photo_id"] = names_of(truth.frame["photo_id"], benchmark)
    expected = settings.expected or (benchmark.photos if benchmark else None)
    problems = [*truth.problems, *check_truth(truth, benchmark, expected)]
    frame = truth.frame.copy()
    if "country" in frame:
        frame["country"] = three_letters(frame["country"])
    if settings.locate is not None:
        found = settings.locate(frame["latitude"].to_numpy(), frame["longitude"].to_numpy())
        frame["country"] = frame["country"].fillna(found["country"]) if "country" in frame else found["country"]
        frame["region"] = found["region"]
    cluster = settings.cluster or ("author" if _authors(frame).notna().any() else "place")
    return Truth(frame, benchmark, expected, cluster, _clusters(frame, cluster), problems)


def _authors(frame: pd.DataFrame) -> pd.Series:
    if "author" not in frame:
        return pd.Series(np.nan, index=frame.index, dtype="str")
    return frame["author"].where(frame["author"] != "")


def _clusters(frame: pd.DataFrame, cluster: str) -> np.ndarray:
    if cluster == "photo":
        return np.arange(len(frame))
    if cluster == "author":
        return cluster_numbers(_authors(frame))
    box = np.floor(frame[["latitude", "longitude"]].to_numpy() / PLACE_DEGREES).astype(np.int64)
    return cluster_numbers(pd.Series(box[:, 0] * 10_000 + box[:, 1]))


def answer(truth: Truth, predictions: Places, settings: Settings) -> Answers:
    """Distances and hits of the answers, and what is wrong with them: missing, for other photos, swapped."""
    frame = predictions.frame.assign(photo_id=names_of(predictions.frame["photo_id"], truth.benchmark))
    at = rows_of(truth.frame["photo_id"], frame["photo_id"])
    away = away_km(truth.frame, frame, at)
    answered = at >= 0
    problems = list(predictions.problems)
    missing = truth.frame.loc[~answered, "photo_id"]
    extra = _extra(frame["photo_id"].drop(index=at[answered]), truth)
    problems += _told(
        predictions.path, "missing", missing, "photos of the truth without a usable answer, which count as wrong"
    )
    problems += _told(predictions.path, "extra", extra, "answers to photos that the truth lacks, which do not count")
    problems += _swapped(predictions.path, truth.frame[answered], frame.iloc[at[answered]], away[answered])
    return Answers(away, answered, _hits(truth, frame, at, settings), problems)


def _extra(extra: pd.Series, truth: Truth) -> pd.Series:
    """Answers to other photos, without those that a benchmark is known to lack the truth of."""
    excused = truth.benchmark.without_truth if truth.benchmark else ()
    return extra[~extra.str.startswith(excused)] if excused else extra


def _told(path: str, kind: str, photo_ids: pd.Series, what: str) -> list[Problem]:
    if photo_ids.empty:
        return []
    shown = ", ".join(photo_ids[:EXAMPLES]) + (", ..." if len(photo_ids) > EXAMPLES else "")
    return [Problem(kind, f"{path}: {what}: {len(photo_ids):,} ({shown})", len(photo_ids))]


def _swapped(path: str, truth: pd.DataFrame, found: pd.DataFrame, away: np.ndarray) -> list[Problem]:
    """Told when the answers fit far better with their columns the other way round."""
    possible = (found["longitude"].abs() <= 90).to_numpy()
    if possible.sum() < max(FEWEST_ROWS, len(found) / 2):
        return []
    right, turned = truth[possible], found[possible]
    swapped_km = haversine_km(
        right["latitude"].to_numpy(), right["longitude"].to_numpy(), turned["longitude"], turned["latitude"]
    )
    if np.median(swapped_km) > 0.5 * np.median(away[possible]):
        return []
    medians = f"median {np.median(swapped_km):,.0f} km against {np.median(away[possible]):,.0f} km"
    message = f"{path}: with latitude and longitude the other way round the answers fit better ({medians}); swapped?"
    return [Problem("swapped", message, len(found))]


def _hits(truth: Truth, frame: pd.DataFrame, at: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """Whether the answer's country and region are the true ones, where both can be known."""
    if settings.locate is not None:
        found = settings.locate(frame["latitude"].to_numpy(), frame["longitude"].to_numpy())
    else:
        found = frame[[name for name in ("country", "region") if name in frame]].replace("", np.nan)
        if "country" in found:
            found = found.assign(country=three_letters(found["country"]))
    hits = {}
    for name in ("country", "region"):
        if name in found and name in truth.frame:
            true = truth.frame[name].where(truth.frame[name] != "")
            hits[f"{name}_accuracy"] = hit(found[name].reset_index(drop=True).reindex(at), true)
    return hits


def _measured(truth: Truth, answers: Answers, settings: Settings) -> Measured:
    return measure(answers.away, answers.hits, settings.radii_km, truth.clusters, settings.sampling)


def _subset(truth: Truth, answers: Answers, rows: np.ndarray, settings: Settings) -> dict[str, Any]:
    hits = {name: values[rows] for name, values in answers.hits.items()}
    measured = measure(answers.away[rows], hits, settings.radii_km, truth.clusters[rows], settings.sampling)
    return {"n": int(rows.sum()), **measured.figures()}


def _heading(truth: Places, predictions: Places, photos: Truth, answers: Answers, settings: Settings) -> dict[str, Any]:
    count = len(photos.frame)
    return {
        "predictions": predictions.path,
        "truth": truth.path,
        "benchmark": photos.benchmark.title if photos.benchmark else None,
        "rules": list(RULES),
        "n": count,
        "expected": photos.expected,
        "answered": int(answers.answered.sum()),
        "answered_share": float(answers.answered.mean()),
        "intervals": {
            "draws": settings.sampling.draws,
            "seed": settings.sampling.seed,
            "clusters_are": CLUSTERS[photos.cluster],
            "clusters": int(photos.clusters.max()) + 1,
        },
    }


def _leaks(truth: Truth, answers: Answers, settings: Settings) -> dict[str, Any]:
    """How many photos match training photos, by reason, and the figures with and without them."""
    table = tables.read(settings.leaks, "leaks")
    ids = names_of(table["benchmark_photo_id"], truth.benchmark)
    return describe_leaks(
        table.assign(benchmark_photo_id=ids),
        truth.frame["photo_id"],
        lambda rows: _subset(truth, answers, rows, settings),
    )


def _compared(
    against: Places, other: Answers, answers: Answers, measured: Measured, second: Measured
) -> dict[str, Any]:
    """The other file's figures, the differences in the same draws, and how often which one is nearer."""
    return {
        "predictions": against.path,
        "answered": int(other.answered.sum()),
        "figures": second.figures(),
        "differences": differences(measured, second) if measured.values.keys() == second.values.keys() else {},
        "nearer_share": float(np.mean(answers.away < other.away)),
        "farther_share": float(np.mean(answers.away > other.away)),
    }


def read_truth(path: Path, labels: Path | None, splits: Path | None, photo_set: str) -> Places:
    """A truth file; with `labels` (a table of ours) the countries and regions, with `splits` the photos of one set."""
    truth = read_places(path, "truth")
    if splits is not None:
        table = tables.read(splits, "splits")
        wanted = table.loc[table["split"] == photo_set, "photo_id"]
        truth.frame = truth.frame[truth.frame["photo_id"].isin(wanted)].reset_index(drop=True)
        if truth.frame.empty:
            raise HomingError(f"{splits}: no photo of {path} is in the set {photo_set!r}")
    if labels is not None:
        named = tables.read(labels, "labels", columns=["photo_id", "country", "region_id"])
        truth.frame = truth.frame.drop(columns=["country", "region"], errors="ignore").merge(
            named.rename(columns={"region_id": "region"}), on="photo_id", how="left"
        )
    return truth
