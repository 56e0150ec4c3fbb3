"""Time of the evaluator on as many photos as OSV-5M has to test on, and of a bootstrap that copies rows in pandas."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from timing import median_seconds, scale_of, show

from homing.evaluate.evaluation import Settings, evaluate
from homing.evaluate.measures import RADII_KM, Sampling
from homing.evaluate.reading import Places, read_places

ROWS = 210_000
WORKERS = 2


def main() -> None:
    naive_draws, as_json = scale_of(small=3, full=20)
    truth, predictions = photos(ROWS)
    score(truth, predictions, 2)  # compile
    plain = median_seconds(lambda: score(truth, predictions, 0))
    drawn = median_seconds(lambda: score(truth, predictions, 1000))
    alone = median_seconds(lambda: score(truth, predictions, 1000, "photo"))
    naive = naive_seconds(truth, predictions, naive_draws) * 1000 / naive_draws
    figures = {
        "photos": ROWS,
        "photographers": truth.frame["author"].nunique(),
        "read_csv_210k_seconds": reading_seconds(predictions),
        "score_210k_seconds": plain,
        "bootstrap_1000_seconds": drawn,
        "bootstrap_1000_each_photo_alone_seconds": alone,
        "score_with_countries_210k_seconds": median_seconds(lambda: score(named(truth), predictions, 0)),
        "bootstrap_1000_with_countries_seconds": median_seconds(lambda: score(named(truth), predictions, 1000)),
        "naive_bootstrap_1000_seconds": naive,
        "speedup_over_naive": naive / drawn,
    }
    show(figures, as_json)


def photos(count: int) -> tuple[Places, Places]:
    """Return random photos, whose number per photographer has a heavy tail, and answers to them in random order."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"photo_id": pd.Series(np.arange(count) + 10**14).astype("str"), "row": np.arange(count)})
    frame["latitude"], frame["longitude"] = rng.uniform(-55, 70, count), rng.uniform(-180, 180, count)
    frame["author"] = pd.Series(rng.zipf(1.3, count) % 20_000).map("author {}".format)
    moved = frame["latitude"] + rng.normal(0, 1, count) * 10 ** rng.uniform(-3, 1.3, count)
    answers = frame[["photo_id", "longitude", "row"]].assign(latitude=moved.clip(-90, 90))
    return Places("truth.csv", frame), Places("answers.csv", answers.sample(frac=1, random_state=1, ignore_index=True))


def named(truth: Places) -> Places:
    """Return the photos with 220 countries."""
    code = pd.Series((truth.frame["longitude"] + 180) // 1.64).astype(int).map("C{:02d}".format)
    return Places(truth.path, truth.frame.assign(country=code))


def score(truth: Places, predictions: Places, draws: int, cluster: str = "author") -> dict[str, float]:
    """Return the metrics with `draws` draws of the bootstrap."""
    settings = Settings(cluster=cluster, sampling=Sampling(draws, 0, WORKERS))
    return evaluate(truth, predictions, settings)["figures"]


def naive_seconds(truth: Places, predictions: Places, draws: int) -> float:
    """Return the seconds of a bootstrap that copies the rows of the drawn photographers and measures the copy."""
    joined = truth.frame.merge(predictions.frame, on="photo_id", suffixes=("", "_found"))
    radians = np.radians(joined[["latitude", "longitude", "latitude_found", "longitude_found"]].to_numpy()).T
    chord = np.sin((radians[2] - radians[0]) / 2) ** 2
    chord += np.cos(radians[0]) * np.cos(radians[2]) * np.sin((radians[3] - radians[1]) / 2) ** 2
    joined["error_km"] = 2 * 6371.0088 * np.arcsin(np.sqrt(chord))
    groups = {name: rows for name, rows in joined.groupby("author")["error_km"]}
    names, rng = list(groups), np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(draws):
        error_km = pd.concat([groups[name] for name in rng.choice(names, len(names))])
        error_km.quantile([0.1, 0.25, 0.5, 0.75, 0.9]), error_km.mean(), (5000 * np.exp(-error_km / 1492.7)).mean()
        [(error_km <= radius).mean() for radius in RADII_KM]
    return time.perf_counter() - started


def reading_seconds(predictions: Places) -> float:
    """Return the seconds to read and check the answers as a CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.csv"
        predictions.frame.drop(columns="row").to_csv(path, index=False)
        return median_seconds(lambda: read_places(path, "predictions"))


if __name__ == "__main__":
    main()
