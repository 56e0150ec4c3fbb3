"""Splits and leaks against loops that share no code with them, also exactly on their limits."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from homing import tables
from homing.photos.leaks import find_leaks, summary, without_leaks
from homing.photos.splits import Blocks, assign_splits, circle_extent, in_box, uniform

KM_PER_DEGREE = 6371.0088 * np.pi / 180
SHARES = {"val_share": 0.2, "test_share": 0.2, "regions": [], "buffer_km": 0}


def number(key, seed: int) -> float:
    """The hash of a key as a number in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def photos_at(latitude, longitude, **columns) -> pd.DataFrame:
    ids = [f"p{row}" for row in range(len(latitude))]
    frame = pd.DataFrame({"photo_id": ids, "latitude": latitude, "longitude": longitude, "author": None, "split": None})
    return frame.assign(**columns)


def test_a_number_of_exactly_the_share_is_beyond_it():
    authors = [f"a{row}" for row in range(60)]
    photos = photos_at(np.zeros(60), np.zeros(60), author=authors)
    numbers = np.array([number(author, 7) for author in authors])
    np.testing.assert_array_equal(uniform(authors, 7), numbers)
    low, high = np.sort(numbers)[[10, 30]]
    settings = SHARES | {"method": "author", "test_share": float(low), "val_share": float(high - low)}
    high = low + (high - low)  # as it is added up
    split = assign_splits(photos, settings, seed=7)["split"]
    np.testing.assert_array_equal(split == "test", numbers < low)
    np.testing.assert_array_equal(split == "val", (numbers >= low) & (numbers < high))
    assert (split == "test").sum() == 10


def test_a_validation_share_of_exactly_a_number_leaves_it_in_training():
    photos = photos_at(np.linspace(-50, 50, 40), np.linspace(-90, 90, 40))
    keys = [f"{north!r},{east!r}" for north, east in zip(photos["latitude"].tolist(), photos["longitude"].tolist(),
                                                         strict=True)]  # fmt: skip
    numbers = np.array([number(key, 3) for key in keys])
    share = float(np.sort(numbers)[20])
    box = "40,-180,60,180"
    regions = SHARES | {"method": "regions", "regions": [box], "val_share": share}
    split = assign_splits(photos, regions, seed=3)["split"]
    north = photos["latitude"] >= 40
    np.testing.assert_array_equal(split == "val", ~north & (numbers < share))
    photos = photos.assign(author=keys, split=np.where(north, "test", "train"))
    given = assign_splits(photos, SHARES | {"method": "given", "val_share": share}, seed=3)["split"]
    np.testing.assert_array_equal(given == "val", ~north & (numbers < share))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_each_part_must_have_a_photo(part):
    names = np.resize([name for name in ("train", "val", "test") if name != part], 40)
    photos = photos_at(np.zeros(40), np.arange(40.0), split=names)
    if part == "val":  # taken from training, where a share of nothing takes none
        with pytest.raises(Exception, match="'val'"):
            assign_splits(photos, SHARES | {"method": "given", "val_share": 0.0}, seed=1)
    else:
        with pytest.raises(Exception, match=f"{part!r}"):
            assign_splits(photos, SHARES | {"method": "given"}, seed=1)


def circle(latitude: float, longitude: float, radius_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of a circle, from vectors: its centre, turned by the radius towards all sides."""
    a, b, c = np.radians(latitude), np.radians(longitude), radius_km / 6371.0088
    turn = np.linspace(0, 2 * np.pi, 20_001)
    up = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    east = np.array([-np.sin(b), np.cos(b), 0])
    north = np.cross(up, east)
    points = np.cos(c) * up + np.sin(c) * (np.cos(turn)[:, None] * north + np.sin(turn)[:, None] * east)
    return np.degrees(np.arcsin(np.clip(points[:, 2], -1, 1))), np.degrees(np.arctan2(points[:, 1], points[:, 0]))


@pytest.mark.parametrize("radius_km", [1.0, 300.0, 2500.0])
@pytest.mark.parametrize("latitude", [0.0, 37.0, -65.0])
def test_a_cap_is_no_wider_than_its_circle(latitude, radius_km):
    north, east = circle_extent(np.array([latitude]), radius_km)
    around = circle(latitude, 10.0, radius_km)
    assert north[0] == pytest.approx(radius_km / KM_PER_DEGREE, rel=1e-6)
    if abs(latitude) + radius_km / KM_PER_DEGREE < 90:
        assert east[0] == pytest.approx(np.abs(around[1] - 10).max(), rel=1e-6)
    else:
        assert east[0] == 180


def test_a_cap_over_a_pole_spans_all_longitudes():
    assert circle_extent(np.array([89.0, -89.0, 89.0]), 1.01 * KM_PER_DEGREE)[1].tolist() == [180] * 3
    assert (circle_extent(np.array([89.0, -89.0]), 0.99 * KM_PER_DEGREE)[1] < 90).all()


def test_blocks_fill_the_globe_in_rows_of_one_height_and_columns_of_one_width():
    blocks = Blocks(1500.0)
    assert blocks.rows == int(180 / (1500 / KM_PER_DEGREE)) == 13
    middles = [-90 + 180 / 13 * (row + 0.5) for row in range(13)]
    columns = [max(1, int(360 * KM_PER_DEGREE * np.cos(np.radians(middle)) / 1500)) for middle in middles]
    assert blocks.columns.tolist() == columns and blocks.columns.min() >= 1
    rng = np.random.default_rng(0)
    latitude, longitude = rng.uniform(-90, 90, 3000), rng.uniform(-180, 180, 3000)
    row = np.searchsorted([-90 + 180 / 13 * edge for edge in range(1, 13)], latitude, side="right")
    np.testing.assert_array_equal(blocks.row(latitude), row)
    assert blocks.row(np.array([-90.0, -95.0, 90.0, 99.0])).tolist() == [0, 0, 12, 12]
    column = [int((east + 180) / (360 / columns[own])) for east, own in zip(longitude, row, strict=True)]
    np.testing.assert_array_equal(blocks.column(longitude, row), column)
    before = np.concatenate([[0], np.cumsum(columns)])
    np.testing.assert_array_equal(blocks.number(row, blocks.column(longitude, row)), before[row] + column)
    turned = blocks.number(row, blocks.column(longitude + 360, row))
    np.testing.assert_array_equal(turned, before[row] + column)
    assert Blocks(99_999.0).rows == 1 and Blocks(99_999.0).columns.tolist() == [1]


def touches(low: float, high: float, west: float, east: float) -> bool:
    """Whether two intervals of longitudes, low..high and west..east, overlap anywhere on the circle."""
    return any(low + turn <= east and high + turn >= west for turn in (-720, -360, 0, 360, 720))


@pytest.mark.parametrize("rows", ["any", "one"])
def test_by_distance_is_what_a_loop_over_all_blocks_finds(rows):
    """A photo is unused where the box around its circle touches a block that matters more than its own.

    one: all circles lie in one row of blocks each.
    """
    rng = np.random.default_rng(4)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, 1200)))
    if rows == "one":
        latitude = (np.floor(latitude * 13 / 180 + 6.5) - 6) * 180 / 13 + rng.uniform(-4, 4, 1200)
    photos = photos_at(latitude, rng.uniform(-180, 180, 1200))
    settings = SHARES | {"method": "distance", "distance_km": 200.0, "block_km": 1500.0}
    split = assign_splits(photos, settings, seed=5)["split"].to_numpy()
    blocks = Blocks(1500.0)
    height = 180 / blocks.rows
    places = [(row, column) for row in range(blocks.rows) for column in range(blocks.columns[row])]
    drawn = [number(count, 5) for count in range(len(places))]
    rank = [2 if share < 0.2 else 1 if share < 0.4 else 0 for share in drawn]
    for latitude, longitude, found in zip(photos["latitude"], photos["longitude"], split, strict=True):
        north, east = (side[0] for side in circle_extent(np.array([latitude]), 200.0))
        own, near = None, []
        for (row, column), value in zip(places, rank, strict=True):
            south, width = -90 + height * row, 360 / blocks.columns[row]
            west = -180 + width * column
            in_row = south <= latitude < south + height
            if in_row and west <= longitude < west + width:
                own = value
            reaches_row = latitude - north < south + height and latitude + north >= south
            if reaches_row and touches(longitude - east, longitude + east, west, west + width):
                near.append(value)
        assert found == ("unused" if max(near) > own else ("train", "val", "test")[own]), (latitude, longitude)
    assert 0.05 < (split == "unused").mean() < 0.6


def test_the_borders_of_a_box_and_of_its_reach_belong_to_it():
    latitude = np.array([10.0, 20, 9.999, 20.001, 15, 15, 15, 15])
    longitude = np.array([30.0, 40, 35, 35, 30, 40, 29.999, 40.001])
    assert in_box("10,30,20,40", latitude, longitude).tolist() == [True] * 2 + [False] * 2 + [True] * 2 + [False] * 2
    reach = 100.0
    degrees = reach / KM_PER_DEGREE
    asked = np.array([10 - degrees, 20 + degrees, 10 - 1.01 * degrees, 20 + 1.01 * degrees])
    assert in_box("10,30,20,40", asked, np.full(4, 35.0), reach).tolist() == [True, True, False, False]
    east = np.abs(circle(15.0, 0.0, reach)[1]).max()
    beside = np.array([30 - 0.999 * east, 40 + 0.999 * east, 30 - 1.01 * east, 40 + 1.01 * east])
    assert in_box("10,30,20,40", np.full(4, 15.0), beside, reach).tolist() == [True, True, False, False]


def test_boxes_over_180_degrees_and_round_the_globe():
    longitude = np.array([-180.0, -171, -170, -169, 0, 159, 160, 161, 179.9])
    across = in_box("-10,160,10,-170", np.zeros(9), longitude)
    assert across.tolist() == [True, True, True, False, False, False, True, True, True]
    for box in ("-10,-180,10,180", "-10,0,10,360"):
        assert in_box(box, np.zeros(9), longitude).all()
    assert in_box("-10,-180,10,179", np.zeros(2), np.array([179.5, 178.5])).tolist() == [False, True]
    assert in_box("-10,5,10,5", np.zeros(2), np.array([5.0, 6.0])).tolist() == [True, False]  # a meridian


def collection(folder, name: str, rows: list[dict]):
    """Paths of the photos and of an empty index of a data set."""
    photos = pd.DataFrame(rows).assign(author=None, views=1)
    photos["captured_at"] = pd.to_datetime(photos["captured_at"], utc=True)
    index = pd.DataFrame({"photo_id": [], "view": [], "shard": [], "offset": [], "bytes": [], "perceptual_hash": []})
    tables.write(folder / f"{name}_photos.parquet", photos, "photos")
    tables.write(folder / f"{name}_index.parquet", index, "index")
    return folder / f"{name}_photos.parquet", folder / f"{name}_index.parquet"


def test_leaks_leave_training_and_validation_and_keep_the_test_photos():
    splits = pd.DataFrame({"photo_id": list("abcdef"), "split": ["train", "val", "test", "unused", "train", "val"]})
    leaks = pd.DataFrame({
        "photo_id": ["a", "b", "c", "c", "d"], "benchmark_photo_id": ["x", "x", "x", "y", "z"],
        "benchmark": ["one", "one", "one", "two", "two"], "reason": ["id", "id", "near_duplicate", "id", "id"],
    })  # fmt: skip
    kept = without_leaks(splits, leaks)
    assert kept["split"].tolist() == ["unused", "unused", "test", "unused", "train", "val"]
    assert summary(leaks) == {
        "photos": 4,
        "by_benchmark": {"one": {"id": 2, "near_duplicate": 1}, "two": {"id": 2}},
        "benchmark_photos": {"one": {"id": 1, "near_duplicate": 1}, "two": {"id": 2}},
    }


def test_places_are_compared_to_four_digits_and_times_to_the_second(tmp_path):
    moment = pd.Timestamp("2020-05-01 12:00:00", tz="UTC")
    ours = [
        {"photo_id": "same", "latitude": 10.00004, "longitude": 20.0, "captured_at": moment},
        {"photo_id": "later", "latitude": 10.0, "longitude": 20.0, "captured_at": moment + pd.Timedelta("1s")},
        {"photo_id": "beside", "latitude": 10.0002, "longitude": 20.0, "captured_at": moment},
        {"photo_id": "zero", "latitude": -0.00001, "longitude": 0.00001, "captured_at": moment},
        {"photo_id": "undated", "latitude": 10.0, "longitude": 20.0},
    ]
    theirs = [
        {"photo_id": "t1", "latitude": 10.0, "longitude": 20.00003, "captured_at": moment + pd.Timedelta("0.9s")},
        {"photo_id": "t2", "latitude": 0.0, "longitude": -0.00002, "captured_at": moment},
        {"photo_id": "t3", "latitude": 10.0, "longitude": 20.0},
    ]
    pairs = find_leaks(
        collection(tmp_path, "ours", ours),
        {"bench": collection(tmp_path, "theirs", theirs)},
        {"by": ["place_and_time"], "near_duplicate_bits": 0},
    )
    found = set(zip(pairs["photo_id"], pairs["benchmark_photo_id"], strict=True))
    assert found == {("same", "t1"), ("zero", "t2")}
