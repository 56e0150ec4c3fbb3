"""`homing evaluate`: metrics of a prediction file against a truth file, by the same rules for every file."""

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
from homing.evaluate.countries import Locate, continents, to_alpha3
from homing.evaluate.distances import FARTHEST_KM, errors_km, rows_of
from homing.evaluate.leaks import leak_metrics
from homing.evaluate.measures import RADII_KM, Measured, Sampling, by_group, differences, hit, measure
from homing.evaluate.published import published
from homing.evaluate.reading import EXAMPLES, Places, Problem, read_places
from homing.sphere import EARTH_RADIUS_KM, haversine_km

RULES = (
    f"within a radius: great-circle distance <= radius, on a sphere of {EARTH_RADIUS_KM} km",
    f"a photo without a usable answer is wrong at every radius, {FARTHEST_KM:,.0f} km away",
    "every photo of the truth counts once; answers to other photos do not count",
)
PLACE_DEGREES = 0.1  # photos in the same box of this size are a cluster of the bootstrap by place
CLUSTERS = {"author": "photographers", "place": "places of 0.1 degrees", "photo": "photos"}
MIN_ROWS = 30  # with fewer answers swapped columns cannot be told from bad answers


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation. `benchmark` and `cluster` are detected if they are None."""

    radii_km: tuple[float, ...] = RADII_KM
    benchmark: str | None = None
    expected: int | None = None
    cluster: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    locate: Locate | None = None
    leaks: Path | None = None


@dataclass(frozen=True)
class Truth:
    """The photos that count, their clusters (n,) and labels, and the problems of their file."""

    frame: pd.DataFrame  # photo_id, latitude, longitude, and country and region if they are known
    benchmark: Benchmark | None
    expected: int | None
    cluster: str
    clusters: np.ndarray
    problems: list[Problem]


@dataclass(frozen=True)
class Answers:
    """Errors and hits of one prediction file on the truth; arrays (n,)."""

    error_km: np.ndarray
    answered: np.ndarray
    hits: Mapping[str, np.ndarray]
    problems: list[Problem]


def evaluate(truth: Places, predictions: Places, settings: Settings, against: Places | None = None) -> dict[str, Any]:
    """Return all metrics, ready for JSON; `problems` lists what is wrong with the files.

    against: a second prediction file that is compared on the same photos. Raises HomingError if the truth is unusable.
    """
    photos = prepare_truth(truth, settings)
    answers = match_answers(photos, predictions, settings)
    measured = _measured(photos, answers, settings)
    found = _heading(truth, predictions, photos, answers, settings)
    found["figures"] = measured.figures()
    if not answers.answered.all() and answers.answered.any():
        found["figures_of_answered"] = _subset(photos, answers, answers.answered, settings)
    if "country" in photos.frame:
        country = photos.frame["country"]
        for name, groups in (("per_continent", continents(country)), ("per_country", country)):
            arguments = (answers.error_km, answers.hits, settings.radii_km, photos.clusters, settings.sampling)
            found[name] = by_group(groups, *arguments)
    if settings.leaks:
        found["leaks"] = _leaks(settings.leaks, photos, answers, settings)
    problems = [*photos.problems, *answers.problems]
    if against is not None:
        other = match_answers(photos, against, settings)
        found["against"] = _compared(against, other, answers, measured, _measured(photos, other, settings))
        problems += other.problems
    comparable = photos.expected is None or len(photos.frame) == photos.expected
    found["published"] = published(photos.benchmark.name) if photos.benchmark and comparable else []
    return found | {"problems": [problem.as_dict() for problem in problems]}


def prepare_truth(truth: Places, settings: Settings) -> Truth:
    """Recognise the benchmark, check the truth file and number the clusters of its photos. Raises HomingError."""
    if settings.benchmark is not None and settings.benchmark not in BENCHMARKS:
        raise HomingError(f"--benchmark {settings.benchmark}: choose one of {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[settings.benchmark] if settings.benchmark else recognise(truth.frame["photo_id"])
    truth.frame["photo_id"] = names_of(truth.frame["photo_id"], benchmark)
    expected = settings.expected or (benchmark.photos if benchmark else None)
    problems = [*truth.problems, *check_truth(truth, benchmark, expected)]
    frame = truth.frame.copy()
    if "country" in frame:
        frame["country"] = to_alpha3(frame["country"])
    if settings.locate is not None:
        located = settings.locate(frame["latitude"].to_numpy(), frame["longitude"].to_numpy())
        frame["country"] = frame["country"].fillna(located["country"]) if "country" in frame else located["country"]
        frame["region"] = located["region"]
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


def match_answers(truth: Truth, predictions: Places, settings: Settings) -> Answers:
    """Return errors and hits of the answers to the truth's photos, and problems: missing, extra or swapped answers."""
    frame = predictions.frame.assign(photo_id=names_of(predictions.frame["photo_id"], truth.benchmark))
    rows = rows_of(truth.frame["photo_id"], frame["photo_id"])
    error_km = errors_km(truth.frame, frame, rows)
    answered = rows >= 0
    path, problems = predictions.path, list(predictions.problems)
    missing = truth.frame.loc[~answered, "photo_id"]
    extra = _extra(frame["photo_id"].drop(index=rows[answered]), truth)
    problems += _listed(path, "missing", missing, "photos of the truth without a usable answer, which count as wrong")
    problems += _listed(path, "extra", extra, "answers to photos that the truth lacks, which do not count")
    problems += _swapped(path, truth.frame[answered], frame.iloc[rows[answered]], error_km[answered])
    return Answers(error_km, answered, _hits(truth, frame, rows, settings), problems)


def _extra(extra: pd.Series, truth: Truth) -> pd.Series:
    """Return ids of answers to other photos, without those that the benchmark is known to have no place for."""
    excused = truth.benchmark.without_truth if truth.benchmark else ()
    return extra[~extra.str.startswith(excused)] if excused else extra


def _listed(path: str, kind: str, photo_ids: pd.Series, what: str) -> list[Problem]:
    """Return a problem that names the first of the photos, or none if there are no photos."""
    if photo_ids.empty:
        return []
    shown = ", ".join(photo_ids[:EXAMPLES]) + (", ..." if len(photo_ids) > EXAMPLES else "")
    return [Problem(kind, f"{path}: {what}: {len(photo_ids):,} ({shown})", len(photo_ids))]


def _swapped(path: str, truth: pd.DataFrame, answers: pd.DataFrame, error_km: np.ndarray) -> list[Problem]:
    """Return a problem if the answers fit far better with latitude and longitude swapped."""
    possible = (answers["longitude"].abs() <= 90).to_numpy()
    if possible.sum() < max(MIN_ROWS, len(answers) / 2):
        return []
    true, some = truth[possible], answers[possible]
    swapped_km = haversine_km(
        true["latitude"].to_numpy(), true["longitude"].to_numpy(), some["longitude"], some["latitude"]
    )
    if np.median(swapped_km) > 0.5 * np.median(error_km[possible]):
        return []
    medians = f"median {np.median(swapped_km):,.0f} km, not {np.median(error_km[possible]):,.0f} km"
    message = f"{path}: with latitude and longitude swapped the answers fit better ({medians}); check the columns"
    return [Problem("swapped", message, len(answers))]


def _hits(truth: Truth, frame: pd.DataFrame, rows: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """Return whether the country and region of the answers are the true ones, as far as both are known."""
    if settings.locate is not None:
        found = settings.locate(frame["latitude"].to_numpy(), frame["longitude"].to_numpy())
    else:
        found = frame[[name for name in ("country", "region") if name in frame]].replace("", np.nan)
        if "country" in found:
            found = found.assign(country=to_alpha3(found["country"]))
    hits = {}
    for name in ("country", "region"):
        if name in found and name in truth.frame:
            true = truth.frame[name].where(truth.frame[name] != "")
            hits[f"{name}_accuracy"] = hit(found[name].reset_index(drop=True).reindex(rows), true)
    return hits


def _measured(truth: Truth, answers: Answers, settings: Settings) -> Measured:
    return measure(answers.error_km, answers.hits, settings.radii_km, truth.clusters, settings.sampling)


def _subset(truth: Truth, answers: Answers, rows: np.ndarray, settings: Settings) -> dict[str, Any]:
    """Return n and the metrics of the photos in `rows`, a mask (n,)."""
    hits = {name: values[rows] for name, values in answers.hits.items()}
    measured = measure(answers.error_km[rows], hits, settings.radii_km, truth.clusters[rows], settings.sampling)
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


def _leaks(path: Path, truth: Truth, answers: Answers, settings: Settings) -> dict[str, Any]:
    """Return how many photos match training photos, by reason, and the metrics with and without them."""
    table = tables.read(path, "leaks")
    ids = names_of(table["benchmark_photo_id"], truth.benchmark)
    return leak_metrics(
        table.assign(benchmark_photo_id=ids),
        truth.frame["photo_id"],
        lambda rows: _subset(truth, answers, rows, settings),
    )


def _compared(
    against: Places, other: Answers, answers: Answers, measured: Measured, baseline: Measured
) -> dict[str, Any]:
    """Return metrics of the other file, paired differences, and the shares of photos with the smaller error."""
    return {
        "predictions": against.path,
        "answered": int(other.answered.sum()),
        "figures": baseline.figures(),
        "differences": differences(measured, baseline) if measured.values.keys() == baseline.values.keys() else {},
        "nearer_share": float(np.mean(answers.error_km < other.error_km)),
        "farther_share": float(np.mean(answers.error_km > other.error_km)),
    }


def read_truth(path: Path, labels: Path | None, splits: Path | None, photo_set: str) -> Places:
    """Read a truth file.

    labels: a `labels` table that replaces countries and regions; splits: a `splits` table, of which only the photos of
    `photo_set` are kept. Raises HomingError if no photo is left.
    """
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
