"""Train, val and test never share what they must not."""

import numpy as np
import pandas as pd
import pytest

from homing.errors import HomingError
from homing.photos.splits import assign_splits, in_box, in_set
from homing.sphere import haversine_km

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


def test_given_splits_are_taken_as_they_are(photos):
    photos["split"] = np.resize(["training", "validation", "test", None], len(photos))
    split = assign_splits(photos, SHARES | {"method": "given"}, seed=3)["split"]
    assert split.iloc[:4].tolist() == ["train", "val", "test", "unused"]


def test_an_empty_part_is_an_error(photos):
    with pytest.raises(HomingError, match="no photo falls into 'test'"):
        assign_splits(photos, SHARES | {"method": "regions", "regions": ["80,0,85,10"]}, seed=3)


def test_a_box_that_is_none_is_named():
    with pytest.raises(HomingError, match="'1,2,3' must be"):
        in_box("1,2,3", np.zeros(1), np.zeros(1))


def test_a_benchmark_is_all_of_its_photos():
    splits = pd.DataFrame({"photo_id": ["a", "b"], "split": ["train", "test"]})
    assert in_set(splits, "test") == {"b"} and in_set(splits, "im2gps") is None
