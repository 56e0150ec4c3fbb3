"""Leaks into a benchmark are found for each reason, and only they are left out of training."""

import numpy as np
import pandas as pd
import pytest

from homing import tables
from homing.photos.leaks import find_leaks, summary, without_leaks

ALL = ["id", "photographer", "place_and_time", "near_duplicate"]


def collection(folder, name, rows):
    """Write a data set of rows (photo_id, author, latitude, longitude, captured_at, hash)."""
    frame = pd.DataFrame(
        rows, columns=["photo_id", "author", "latitude", "longitude", "captured_at", "perceptual_hash"]
    )
    frame["captured_at"] = pd.to_datetime(frame["captured_at"])
    places = folder / f"{name}_photos.parquet", folder / f"{name}_index.parquet"
    tables.write(places[0], frame.drop(columns="perceptual_hash").assign(views=1), "photos")
    index = frame[["photo_id", "perceptual_hash"]].assign(view=0, shard="000000.tar", offset=0, bytes=1)
    tables.write(places[1], index, "index")
    return places


@pytest.fixture
def leaks(tmp_path):
    own = [
        ("e1_55_4763369508", "11@N01", 10.0, 20.0, None, 0),
        ("00_0a_1234567", "22@N02", 11.0, 20.0, None, -1),
        ("ff_ff_7654321", None, 48.85828, 2.29449, "2019-05-01 12:00:00", 0x0F0F),
        ("ff_ff_7654322", None, 48.85828, 2.29449, "2019-05-02 12:00:00", 0xF0F0F0),
        ("aa_aa_7654323", None, 5.0, 5.0, None, 0x123456789),
        ("aa_aa_7654324", None, 5.0, 5.0, None, 0x123456789 ^ 0b1111),
        ("bb_bb_7654325", None, 5.0, 5.0, None, 0x123456789 ^ 0b11111),
    ]
    im2gps = [
        ("4763369508_2af4719adb_1433_24511045@N04", "24511045@N04", 0.0, 0.0, None, 0x0FFF0000),
        ("9999999_0a_19_22@N02", "22@N02", 1.0, 0.0, None, 0xFFF00000),
        ("8888888_0a_19_33@N02", "33@N02", 48.85829, 2.29451, "2019-05-01 12:00:00", 0xAAAA0000),
    ]
    yfcc = [("777777777", None, 2.0, 0.0, None, 0x123456789)]
    own, *others = (collection(tmp_path, n, rows) for n, rows in (("own", own), ("im2gps", im2gps), ("yfcc", yfcc)))
    return lambda reasons=ALL, bits=4: find_leaks(
        own, dict(zip(("im2gps", "yfcc"), others, strict=True)), {"by": reasons, "near_duplicate_bits": bits}
    )


def test_each_reason_finds_its_leaks(leaks):
    found = {(row.photo_id, row.reason, row.benchmark): row.benchmark_photo_id for row in leaks().itertuples()}
    assert found == {
        ("e1_55_4763369508", "id", "im2gps"): "4763369508_2af4719adb_1433_24511045@N04",
        ("00_0a_1234567", "photographer", "im2gps"): "9999999_0a_19_22@N02",
        ("ff_ff_7654321", "place_and_time", "im2gps"): "8888888_0a_19_33@N02",
        ("aa_aa_7654323", "near_duplicate", "yfcc"): "777777777",
        ("aa_aa_7654324", "near_duplicate", "yfcc"): "777777777",
    }


def test_reasons_and_bits_follow_the_settings(leaks):
    assert set(leaks(["id"])["reason"]) == {"id"} and leaks([]).empty
    assert len(leaks(["near_duplicate"], bits=0)) == 1 and len(leaks(["near_duplicate"], bits=5)) == 3


def test_the_report_counts_by_benchmark_and_reason(leaks):
    counts = {"im2gps": {"id": 1, "photographer": 1, "place_and_time": 1}, "yfcc": {"near_duplicate": 2}}
    theirs = counts | {"yfcc": {"near_duplicate": 1}}
    assert summary(leaks()) == {"photos": 5, "by_benchmark": counts, "benchmark_photos": theirs}
    assert summary(leaks([])) == {"photos": 0, "by_benchmark": {}, "benchmark_photos": {}}


def test_every_matched_photo_of_the_benchmark_is_named(tmp_path):
    """Three photos of one photographer and three of one view: a first match must not hide the others."""
    place = (5.0, 5.0, None)
    own = collection(tmp_path, "own", [(f"o{n}", "11@N01", *place, 0) for n in range(2)])
    authors, hashes = ["11@N01"] * 3 + [None] * 2, [-1, -1, 1, 2, -1]
    rows = [(f"b{n}", author, *place, hashes[n]) for n, author in enumerate(authors)]
    found = find_leaks(own, {"b": collection(tmp_path, "b", rows)}, {"by": ALL, "near_duplicate_bits": 4})
    matched = {name: set(group["benchmark_photo_id"]) for name, group in found.groupby("reason")}
    assert matched == {"photographer": {"b0", "b1", "b2"}, "near_duplicate": {"b2", "b3"}}
    assert all(set(group["photo_id"]) == {"o0", "o1"} for _, group in found.groupby("reason"))
    assert not found.duplicated().any()


def test_leaks_leave_training_and_validation_but_not_test(leaks):
    ids = [f"p{number}" for number in range(10)]
    splits = pd.DataFrame({"photo_id": ids, "split": np.resize(["train", "val", "test", "unused"], 10)})
    found = pd.DataFrame({"photo_id": ["p0", "p1", "p2", "p2"]})
    clean = without_leaks(splits, found)["split"]
    assert clean[:4].tolist() == ["unused", "unused", "test", "unused"]
    assert (clean[4:] == splits["split"][4:]).all()
