"""Train, val and test do not share bursts, photographers or neighbourhoods."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from homing.errors import HomingError
from homing.photos.splits import assign_splits, circle_extent, in_box, in_set
from homing.sphere import KM_PER_DEGREE, haversine_km, unit_vectors

SHARES = {"val_share": 0.1, "test_share": 0.15, "regions": [], "buffer_km": 1}


@pytest.fixture
def photos() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    count = 4000
    latitude, longitude = rng.uniform(-60, 70, count).round(2), rng.uniform(-180, 180, count).round(2)
    latitude[1::4], longitude[1::4] = latitude[::4], longitude[::4]  # bursts: pairs at one coordinate
    authors = np.array([f"author {number}" for number in rng.integers(0, 300, count)], dtype=object)
    ids = [f"p{number}" for number in range(count)]
    return pd.DataFrame(
        {"photo_id": ids, "latitude": latitude, "longitude": longitude, "author": authors, "split": None}
    )


def test_shares_are_met_and_adding_photos_moves_none(photos):
    whole = assign_splits(photos, SHARES | {"method": "random"}, seed=3).set_index("photo_id")["split"]
    assert abs((whole == "test").mean() - 0.15) < 0.02 and abs((whole == "val").mean() - 0.1) < 0.02
    part = assign_splits(photos.sample(1500, random_state=0), SHARES | {"method": "random"}, seed=3)
    assert (whole[part["photo_id"]].to_numpy() == part["split"].to_numpy()).all()
    assert (assign_splits(photos, SHARES | {"method": "random"}, seed=4)["split"].to_numpy() != whole.to_numpy()).any()


def test_a_burst_stays_together(photos):
    split = assign_splits(photos, SHARES | {"method": "random"}, seed=3)["split"]
    assert split.groupby([photos["latitude"], photos["longitude"]]).nunique().max() == 1


def test_a_photographer_is_in_one_split(photos):
    split = assign_splits(photos, SHARES | {"method": "author"}, seed=3)["split"]
    assert split.groupby(photos["author"]).nunique().max() == 1


def test_regions_are_tested_and_their_surroundings_unused(photos):
    settings = SHARES | {"method": "regions", "regions": ["-40,160,0,-160"], "buffer_km": 800}
    split = assign_splits(photos, settings, seed=3)["split"].to_numpy()
    inside = (photos["latitude"] >= -40) & (photos["latitude"] <= 0) & (photos["longitude"].abs() >= 160)
    assert ((split == "test") == inside).all()
    test, train = photos[split == "test"], photos[np.isin(split, ["train", "val"])]
    nearest = min(
        haversine_km(row.latitude, row.longitude, train["latitude"], train["longitude"]).min()
        for row in test.itertuples()
    )
    assert nearest > 800 and (split == "unused").any()


def test_given_splits_are_used_unchanged(photos):
    photos["split"] = np.resize(["training", "validation", "test", None], len(photos))
    split = assign_splits(photos, SHARES | {"method": "given"}, seed=3)["split"]
    assert split.iloc[:4].tolist() == ["train", "val", "test", "unused"]


def test_an_empty_part_is_an_error(photos):
    with pytest.raises(HomingError, match="no photo falls into 'test'"):
        assign_splits(photos, SHARES | {"method": "regions", "regions": ["80,0,85,10"]}, seed=3)


def test_a_malformed_box_is_named():
    with pytest.raises(HomingError, match="'1,2,3' must be"):
        in_box("1,2,3", np.zeros(1), np.zeros(1))


def test_a_benchmark_is_not_split():
    splits = pd.DataFrame({"photo_id": ["a", "b"], "split": ["train", "test"]})
    assert in_set(splits, "test") == {"b"} and in_set(splits, "im2gps") is None


DISTANCE = SHARES | {"method": "distance", "distance_km": 1.0, "block_km": 20.0}


def crowded_photos(count: int) -> pd.DataFrame:
    """Photos in dense places: at a town, across 180 degrees, round both poles and everywhere."""
    rng = np.random.default_rng(8)
    centres = np.array([(48.85, 2.35), (-16.8, 180.0), (89.99, 10.0), (-89.97, -60.0), (70.0, -179.99)])
    place = centres[rng.integers(0, len(centres), count)] + rng.normal(0, 0.3, (count, 2)) * [1, 3]
    place[::4] = np.stack([rng.uniform(-90, 90, count), rng.uniform(-180, 180, count)], axis=1)[::4]
    latitude = np.where(np.abs(place[:, 0]) > 90, np.sign(place[:, 0]) * 180 - place[:, 0], place[:, 0])
    ids = [f"p{number}" for number in range(count)]
    longitude = (place[:, 1] + 180) % 360 - 180
    return pd.DataFrame({"photo_id": ids, "latitude": latitude, "longitude": longitude, "author": None, "split": None})


@pytest.mark.parametrize("settings", [{}, {"block_km": 3.0}, {"distance_km": 5.0}, {"distance_km": 9, "block_km": 9}])
def test_by_distance_no_test_photo_is_near_a_training_photo(settings):
    photos = crowded_photos(20_000)
    settings = DISTANCE | settings
    split = assign_splits(photos, settings, seed=3)["split"].to_numpy()
    vectors = unit_vectors(photos["latitude"].to_numpy(), photos["longitude"].to_numpy())
    for held, others in (("test", ["train", "val"]), ("val", ["train"])):
        chord, _ = cKDTree(vectors[np.isin(split, others)]).query(vectors[split == held])
        assert (2 * np.degrees(np.arcsin(chord / 2)) * KM_PER_DEGREE).min() >= settings["distance_km"]
    for part in ("train", "val", "test", "unused"):
        assert (split == part).mean() > 0.005, part
    alone = assign_splits(photos.iloc[::7], settings, seed=3).set_index("photo_id")["split"]
    assert (alone.to_numpy() == split[::7]).all()  # what other photos there are does not matter


def test_by_distance_a_narrow_gap_costs_few_photos():
    rng = np.random.default_rng(2)
    photos = pd.DataFrame({"photo_id": np.arange(50_000).astype(str), "longitude": rng.uniform(-180, 180, 50_000)})
    photos["latitude"] = np.degrees(np.arcsin(rng.uniform(-1, 1, 50_000)))
    settings = DISTANCE | {"test_share": 0.02, "val_share": 0.02}
    share = assign_splits(photos, settings, seed=1)["split"].value_counts(normalize=True)
    assert share["unused"] < 0.02 and abs(share["test"] - 0.02) < 0.005


@settings_of_hypothesis(max_examples=200, deadline=None)
@given(
    latitude=st.floats(-90, 90), longitude=st.floats(-180, 179.99), radius=st.floats(0.01, 3000),
    bearing=st.floats(0, 360), share=st.floats(0, 1),
)  # fmt: skip
def test_a_circle_lies_within_its_extent(latitude, longitude, radius, bearing, share):
    there = destination(latitude, longitude, bearing, radius * share)
    north_extent, east_extent = circle_extent(np.array([latitude]), radius)
    east = abs((there[1] - longitude + 180) % 360 - 180)
    assert abs(there[0] - latitude) <= north_extent[0] + 1e-7 and (
        east <= east_extent[0] + 1e-6 or east_extent[0] == 180
    )


def destination(latitude: float, longitude: float, bearing: float, distance_km: float) -> tuple[float, float]:
    """The end of a great circle arc (Chris Veness, Movable Type Scripts: destination point)."""
    a, b, c = np.radians([latitude, bearing, distance_km / KM_PER_DEGREE])
    there = np.arcsin(np.clip(np.sin(a) * np.cos(c) + np.cos(a) * np.sin(c) * np.cos(b), -1, 1))
    east = np.arctan2(np.sin(b) * np.sin(c) * np.cos(a), np.cos(c) - np.sin(a) * np.sin(there))
    return float(np.degrees(there)), float(longitude + np.degrees(east))


def test_the_buffer_of_a_box_holds_every_point_within_its_distance():
    rng = np.random.default_rng(4)
    latitude, longitude = rng.uniform(-90, 90, 4000), rng.uniform(-180, 180, 4000)
    for box in ("-57,-82,13,-34", "-40,160,0,-160", "80,-180,90,180", "-90,10,-70,20"):
        inside = in_box(box, latitude, longitude)
        near = in_box(box, latitude, longitude, 500)
        assert (near | ~inside).all()
        edge = unit_vectors(latitude[inside], longitude[inside])
        chord, _ = cKDTree(edge).query(unit_vectors(latitude, longitude))
        close = 2 * np.degrees(np.arcsin(np.clip(chord / 2, 0, 1))) * KM_PER_DEGREE <= 500
        assert (near | ~close).all() and near.mean() < close.mean() + 0.1


def test_given_splits_without_val_take_it_from_train_by_photographer(photos):
    photos["split"] = np.resize(["train", "train", "test"], len(photos))
    split = assign_splits(photos, SHARES | {"method": "given"}, seed=3)["split"].to_numpy()
    assert ((split == "test") == (photos["split"] == "test")).all()
    chosen = pd.Series(split[split != "test"])
    assert 0.05 < (chosen == "val").mean() < 0.15
    assert chosen.groupby(photos["author"][split != "test"].to_numpy()).nunique().max() == 1
