"""A photo set is scored on its own photos, by every readout that was computed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from homing import tables
from homing.errors import HomingError
from homing.evaluate.ceilings import Points
from homing.evaluate.measures import score
from homing.evaluate.photo_set import PhotoSet, read_labelled, score_photo_set
from homing.readouts import NAMES

COUNT, CELLS, RANKS, RADII = 60, 6, 3, [25, 2500]
TASKS = ["climate", "month", "temperature_c", "temperature_range_c", "precipitation_mm", "precipitation_range_mm"]


def labelled(prefix: str, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"photo_id": [f"{prefix}{number}" for number in range(COUNT)]})
    frame["latitude"], frame["longitude"] = rng.uniform(-60, 60, COUNT), rng.uniform(-180, 180, COUNT)
    frame["author"] = [f"a{number // 3}" for number in range(COUNT)]
    for name in (*TASKS, "elevation_m", "population_per_km2"):
        frame[name] = rng.integers(1, 12, COUNT).astype(float)
    return frame.assign(country=np.where(frame["latitude"] > 0, "NNN", "SSS"), region_id="r")


def locate(latitude: np.ndarray, longitude: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"country": np.where(latitude > 0, "NNN", "SSS"), "region": "r"})


@pytest.fixture
def photos() -> PhotoSet:
    truth, training, rng = labelled("p", 0), labelled("t", 1), np.random.default_rng(2)
    cells = pd.DataFrame({"cell_id": range(CELLS), "latitude": rng.uniform(-60, 60, CELLS), "area_km2": 1e5})
    cells["longitude"] = rng.uniform(-180, 180, CELLS)
    ranked = np.argsort(rng.random((COUNT, CELLS)), axis=1)[:, :RANKS].ravel()
    table = pd.DataFrame({"photo_id": np.repeat(truth["photo_id"], RANKS), "rank": np.tile(range(RANKS), COUNT)})
    table = table.assign(cell_id=ranked, probability=np.tile([0.5, 0.3, 0.1], COUNT))
    table["latitude"], table["longitude"] = cells[["latitude", "longitude"]].to_numpy()[ranked].T
    readouts = dict.fromkeys(NAMES, table) | {"mode": table.iloc[:0], "refined": table[table["rank"] < 2]}
    ids = pd.concat([truth["photo_id"], training["photo_id"]])
    assignments = pd.DataFrame({"photo_id": ids, "cell_id": rng.integers(0, CELLS, 2 * COUNT)})
    leaks = pd.DataFrame({"photo_id": "t0", "reason": "id", "benchmark": ["im2gps", "other"]})
    leaks["benchmark_photo_id"] = ["p1", "p2"]
    points = Points(np.arange(CELLS), cells["latitude"].to_numpy(), cells["longitude"].to_numpy())
    return PhotoSet("im2gps", truth, training, readouts, truth, cells, assignments, points, leaks, ["id", "near"])


def test_every_computed_readout_is_scored_in_the_country_it_lies_in(photos):
    found = score_photo_set(photos, locate, RADII, seed=3)
    assert list(found) == ["n", "readouts", "geocell", "ceilings", "confidence", "tasks", "leaks"]
    assert found["n"] == COUNT and set(found["readouts"]) == set(NAMES) - {"mode"}
    first = photos.readouts["score"].query("rank == 0")
    answers = first.assign(country=locate(first["latitude"].to_numpy(), None)["country"].to_numpy(), region="r")
    expected = score(photos.truth, {"score": answers}, RADII, 3)["score"]
    assert found["readouts"]["score"] == expected
    assert "best_of_2_cells" in found["ceilings"]  # as many as refinement has
    own = photos.assignments.set_index("photo_id")["cell_id"].loc[photos.truth["photo_id"]].to_numpy()
    assert found["geocell"]["accuracy"] == np.mean(first["cell_id"].to_numpy() == own)
    assert found["geocell"]["cells"] == CELLS


def test_leaks_are_those_of_the_set(photos):
    leaks = score_photo_set(photos, locate, RADII, seed=3)["leaks"]
    assert leaks["photos"] == 1 and leaks["by_reason"] == {"id": 1, "near": 0}
    assert "leaks" not in score_photo_set(replace(photos, leaks=None), locate, RADII, seed=3)


def test_an_empty_set_is_an_error_with_its_name(photos):
    with pytest.raises(HomingError, match="'im2gps' is empty"):
        score_photo_set(replace(photos, truth=photos.truth.iloc[:0]), locate, RADII, seed=3)


def test_labels_are_joined_to_the_photos_of_the_split(tmp_path):
    frame = labelled("p", 0)
    photos = frame[["photo_id", "latitude", "longitude", "author"]].assign(views=1)
    tables.write(tmp_path / "photos.parquet", photos, "photos")
    tables.write(tmp_path / "labels.parquet", frame[["photo_id", "country"]].iloc[::-1], "labels")
    splits = pd.DataFrame({"photo_id": frame["photo_id"], "split": ["test", "train"] * (COUNT // 2)})
    for name, expected in (("test", frame.iloc[::2]), ("im2gps", frame)):
        found = read_labelled(str(tmp_path / "photos.parquet"), str(tmp_path / "labels.parquet"), splits, name)
        assert found["photo_id"].tolist() == expected["photo_id"].tolist()
        assert found["country"].tolist() == expected["country"].tolist()
