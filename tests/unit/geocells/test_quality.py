"""The figures of a partition against counts of all pairs of photos."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from homing.files import write_json
from homing.geocells import quality
from homing.geocells.compare import FIGURES, as_text, compare
from homing.geocells.quality import RADII_KM, measure, per_cell
from homing.sphere import haversine_km, spherical_mean


@pytest.fixture(scope="module")
def world():
    """Six areas in two countries, one of them without regions, and four cells with other borders. Photos lie on both
    sides of 180 degrees, several at one place; no photo shaped cell 9.
    """
    areas = gpd.GeoDataFrame(
        {"area_id": list("abcdef"), "region_id": ["r", "r", "s", "s", None, None], "country": ["X"] * 4 + ["Y"] * 2},
        geometry=[shapely.box(west, 0, west + 2, 4) for west in (170, 172, 174, 176, 178, -180)], crs="EPSG:4326",
    )  # fmt: skip
    rng = np.random.default_rng(11)
    east = rng.uniform(0, 12, 400)
    photos = pd.DataFrame(
        {"latitude": rng.uniform(0, 4, 400), "longitude": np.where(east < 10, 170 + east, east - 190)}
    )
    photos.loc[300:, ["latitude", "longitude"]] = photos.loc[
        rng.integers(0, 300, 100), ["latitude", "longitude"]
    ].to_numpy()
    photos["photo_id"] = [f"p{number}" for number in range(400)]
    photos["split"] = rng.choice(["train", "val", "test"], 400, p=[0.7, 0.1, 0.2])
    along = np.where(photos["longitude"] < 0, photos["longitude"] + 190, photos["longitude"] - 170)
    photos["area_id"] = areas["area_id"].to_numpy()[(along // 2).astype(int)]
    photos["country"] = np.where(along < 8, "X", "Y")
    photos["cell_id"] = np.select([along < 3, along < 8, along < 11.8], [7, 2, 3], 9)
    photos.loc[(photos["cell_id"] == 9) & (photos["split"] == "train"), "split"] = "test"
    shaping = photos[photos["split"] == "train"].drop(columns="split").sample(frac=1, random_state=3)
    rows = []
    for cell_id, country in ((2, "X"), (3, "Y"), (7, "X"), (9, "Y")):
        own = shaping[shaping["cell_id"] == cell_id]
        latitude, longitude = spherical_mean(own["latitude"], own["longitude"]) if len(own) else (2.0, -178.1)
        rows.append((cell_id, country, latitude, longitude, len(own), 1000.0 + cell_id, 100.0))
    columns = ["cell_id", "country", "latitude", "longitude", "photos", "area_km2", "radius_km"]
    shapes = [shapely.box(173, 0, 178, 4), shapely.box(178, 0, 180, 4), shapely.box(170, 0, 173, 4),
              shapely.box(-180, 0, -178, 4)]  # fmt: skip
    cells = gpd.GeoDataFrame(pd.DataFrame(rows, columns=columns), geometry=shapes, crs="EPSG:4326")
    return areas, cells, photos, shaping


@pytest.fixture(scope="module")
def found(world):
    areas, cells, photos, shaping = world
    return measure(
        areas,
        cells,
        [{"cell_id": 9, "photos": 0, "reason": "none"}],
        photos,
        shaping,
        {"method": "semantic", "min_photos": 20},
    )


def distances_km(one, others) -> np.ndarray:
    return haversine_km(one.latitude, one.longitude, others["latitude"], others["longitude"])


def test_errors_of_a_perfect_classifier_are_those_of_all_pairs(world, found):
    _, cells, photos, shaping = world
    centre = cells.set_index("cell_id")
    for split, own in photos.groupby("split"):
        answers = {"centroid": [], "nearest": []}
        for photo in own.itertuples():
            centroid = float(distances_km(photo, centre.loc[[photo.cell_id]])[0])
            others = shaping[(shaping["cell_id"] == photo.cell_id) & (shaping["photo_id"] != photo.photo_id)]
            answers["centroid"].append(centroid)
            answers["nearest"].append(distances_km(photo, others).min() if len(others) else centroid)
        assert found[f"oracle.{split}.photos"] == len(own)
        for name, error_km in answers.items():
            key = f"oracle.{split}.{name}"
            assert found[f"{key}.median_km"] == pytest.approx(np.median(error_km), rel=1e-6, abs=1e-6)
            assert found[f"{key}.mean_km"] == pytest.approx(np.mean(error_km), rel=1e-6)
            for radius in RADII_KM:
                assert found[f"{key}.within_{radius}_km"] == pytest.approx(np.mean(np.array(error_km) <= radius))
    assert found["oracle.train.nearest.mean_km"] > 0, "a photo must not be its own answer"


def test_another_data_set_may_use_the_same_ids(world):
    _, _, photos, shaping = world
    moved = shaping.assign(latitude=shaping["latitude"] + 0.001)
    expected = [
        distances_km(photo, moved[moved["cell_id"] == photo.cell_id]).min()
        for photo in photos.query("cell_id != 9").itertuples()
    ]
    near = quality.nearest_km(photos, moved)
    np.testing.assert_allclose(near[photos["cell_id"] != 9], expected, rtol=1e-6)
    assert np.isnan(near[photos["cell_id"] == 9]).all()


def test_neighbours_are_those_of_all_pairs(world, found):
    *_, shaping = world
    region = {"a": "r", "b": "r", "c": "s", "d": "s", "e": "Y", "f": "Y"}
    pairs = []
    for photo in shaping.itertuples():
        distance = distances_km(photo, shaping)
        elsewhere = (shaping["latitude"] != photo.latitude) | (shaping["longitude"] != photo.longitude)
        other = shaping.iloc[int(np.where(elsewhere, distance, np.inf).argmin())]
        pairs.append((other["cell_id"] != photo.cell_id, region[other["area_id"]] != region[photo.area_id]))
    cell, other_region = np.array(pairs).T
    expected = {"other_cell": cell, "other_region": other_region, "same_cell_other_region": ~cell & other_region,
                "other_cell_same_region": cell & ~other_region}  # fmt: skip
    assert all(counted.any() for counted in expected.values())
    for name, counted in expected.items():
        assert found[f"neighbours.{name}_share"] == pytest.approx(counted.mean())


def test_shares_of_photos_and_of_cells(world, found):
    _, cells, photos, shaping = world
    tested = photos[photos["split"].isin(["val", "test"])]
    assert found["held_out.photos"] == len(tested)
    in_empty = (tested["cell_id"] == 9).mean()
    assert in_empty > 0 and found["held_out.in_empty_cells_share"] == pytest.approx(in_empty)
    share = shaping["cell_id"].value_counts(normalize=True)
    assert found["entropy_bits"] == pytest.approx(sum(-p * np.log2(p) for p in share))
    assert found["effective_cells_share"] == pytest.approx(2 ** found["entropy_bits"] / 4)
    assert found["area_lost_share"] == pytest.approx(0, abs=1e-12)
    assert (found["photos_per_cell.min"], found["photos_per_cell.max"]) == (0, cells["photos"].max())


def test_cells_of_equal_size_have_maximal_entropy():
    assert quality.entropy(np.repeat(np.arange(8), 5), 8) == {
        "entropy_bits": 3.0, "effective_cells": 8.0, "effective_cells_share": 1.0,
    }  # fmt: skip
    assert quality.entropy(np.zeros(5), 1)["entropy_bits"] == 0


def test_the_error_of_each_cell(world):
    _, cells, photos, _ = world
    oracle_km = per_cell(cells, photos[photos["cell_id"] != 9])
    for cell, error in zip(cells.itertuples(), oracle_km, strict=True):
        own = photos[photos["cell_id"] == cell.cell_id]
        assert np.isnan(error) if cell.cell_id == 9 else error == pytest.approx(np.median(distances_km(cell, own)))


def test_one_photo_in_all(world, tmp_path):
    areas, cells, _, shaping = world
    one = shaping.iloc[:1]
    figures = measure(areas, cells, [], one.assign(split="train"), one, {"method": "semantic"})
    write_json(tmp_path / "quality.json", figures)  # raises for NaN
    assert figures["neighbours.other_cell_share"] is None and figures["held_out.in_empty_cells_share"] is None
    assert figures["oracle.train.nearest.median_km"] == figures["oracle.train.centroid.median_km"]


def test_partitions_side_by_side(found):
    rows = compare({"semantic": found, "other": found | {"cells": 9}})
    assert [row["name"] for row in rows] == ["semantic", "other"]
    assert [row["cells"] for row in rows] == [4, 9]
    assert all(set(row) == {"name", *FIGURES} for row in rows)
    assert rows[0]["oracle.nearest.within_25_km"] == found["oracle.test.nearest.within_25_km"]
    assert all(value is not None for value in rows[0].values())
    lines = as_text(rows).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 2 + len(FIGURES)
    assert lines[2].split() == ["|", "cells", "|", "4", "|", "9", "|"]
    assert compare({}) == []
