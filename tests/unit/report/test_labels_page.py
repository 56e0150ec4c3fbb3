"""The page on the labels of a data set shows coverage, missing labels and labels that look wrong."""

import base64
import io
import re

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pages import Reader
from PIL import Image

from homing import tables
from homing.labels.agreement import compare
from homing.labels.grid import Grid
from homing.report.labels import LabelFiles, coverage_of, render_labels, suspicious
from homing.report.pictures import COLOURS, shaded_map


@pytest.fixture
def files(tmp_path):
    """Six photos: two in a country, one near it, one in the sea, one too low, one said to be elsewhere."""
    areas = gpd.GeoDataFrame({"country": ["AAA"]}, geometry=[shapely.box(0, 0, 20, 20)], crs="EPSG:4326")
    areas.to_parquet(tmp_path / "areas.parquet")
    Grid.of(areas.geometry.to_numpy()).save(tmp_path / "grid")
    photos = pd.DataFrame(
        {"photo_id": ["<in>", "b", "near", "sea", "low", "other"], "latitude": [5.0, 5.0, 5.0, -40.0, 6.0, 7.0],
         "longitude": [5.0, 5.1, 20.5, -100.0, 6.0, 7.0], "views": 1,
         "given_country": ["aa", None, "AAA", "AAA", "AAA", "BBB"],
         "given_drives_on_left": [True, None, None, True, True, False]}
    )  # fmt: skip
    labels = pd.DataFrame(
        {"photo_id": photos["photo_id"], "country": ["AAA"] * 3 + [None] + ["AAA"] * 2, "country_name": "Alpha",
         "admin_distance_km": [0, 0, 55.0, None, 0, 0], "elevation_m": [10.0, 20, 30, None, -900, 40],
         "elevation_distance_km": [0, 0, 4.0, None, 0, 2.0], "temperature_c": 20.0,
         "population_per_km2": [0, 1, 10, 99, 5, 5],
         "climate": pd.array([1, 2, 3, None, 30, 30], "Int8"), "month": pd.array([1, 2, None, None, 5, 12], "Int8"),
         "drives_on_left": [True, True, True, None, True, True]}
    )  # fmt: skip
    tables.write(tmp_path / "photos.parquet", photos, "photos")
    tables.write(tmp_path / "labels.parquet", labels, "labels")
    (tmp_path / "sides.csv").write_text("iso_a2,iso_a3,side\nAA,AAA,left\n")
    compare(tmp_path / "photos.parquet", tmp_path / "labels.parquet", {"AA": "AAA"}).to_csv(
        tmp_path / "agreement.csv", index=False
    )
    names = ("photos.parquet", "labels.parquet", "areas.parquet", "grid", "agreement.csv", "sides.csv")
    return LabelFiles(*(str(tmp_path / name) for name in names))


def test_coverage_counts_labels_and_those_taken_from_the_nearest_place(files):
    row = coverage_of(files.labels, "Elevation")
    assert row == {
        "title": "Elevation", "present": 5, "missing": pytest.approx(1 / 6), "nearest": pytest.approx(0.4),
        "median": pytest.approx(3), "farthest": pytest.approx(4),
    }  # fmt: skip
    assert coverage_of(files.labels, "Precipitation")["missing"] == 1
    assert coverage_of(files.labels, "Month") | {"title": ""} == {
        "title": "", "present": 4, "missing": pytest.approx(1 / 3), "nearest": None, "median": None, "farthest": None,
    }  # fmt: skip


def test_what_looks_wrong_is_listed(files):
    photos = tables.read(files.photos, "photos")
    found = {
        kind["what"]: kind for kind in suspicious(files, photos["latitude"].to_numpy(), photos["longitude"].to_numpy())
    }
    listed = {what: [photo["photo_id"] for photo in kind["photos"]] for what, kind in found.items()}
    assert listed == {
        "no area within reach: in the sea?": ["sea"],
        "more than 25 km from the nearest area": ["near"],
        "lower than any dry land": ["low"],
        "another country than the collection says": ["other"],
        "another driving side than the collection says": ["other"],
    }
    assert found["another driving side than the collection says"]["photos"][0]["what"] == "right, ours left"
    assert found["more than 25 km from the nearest area"]["photos"][0]["place"] == "5.0000, 20.5000"


def test_the_page_is_complete_escaped_and_loads_nothing(files):
    page = render_labels("toy", files)
    reader = Reader(page)
    assert not reader.open and all(reader.pictures)
    assert all(value.startswith(("data:", "#")) for value in reader.loaded)
    assert "<in>" not in page and "6</b>photos" in page and "1</b>countries" in page
    assert page.count("<figure>") == 2 + 3 + 3  # two maps; countries, climate, months; three of the numbers are there


def test_a_page_without_photos(files, tmp_path):
    for name in ("photos", "labels"):
        tables.write(tmp_path / f"{name}.parquet", tables.read(tmp_path / f"{name}.parquet", name).iloc[:0], name)
    (tmp_path / "agreement.csv").write_text("label,given,ours,photos\n")
    assert "0</b>photos" in render_labels("none", files)


def test_a_shaded_map_has_squares_where_the_points_are():
    grid = Grid.of(np.array([shapely.box(-180, -10, 180, 10), shapely.box(-10, 10, 10, 40)]))
    latitude, longitude = np.array([0.0] * 20 + [60.0]), np.array([0.0] * 20 + [179.9])
    uri = shaded_map(grid, np.array([0, 1]), latitude, longitude, None, [1, 10])
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(re.sub("^.*,", "", uri)))).convert("RGBA"))
    assert picture.shape == (144 * 4, 360 * 4, 4)

    def colour(lat, lon):
        return "#{:02x}{:02x}{:02x}".format(*picture[int((84 - lat) * 4 + 0.01), int((lon + 180) * 4 + 0.01)][:3])

    assert colour(0, 0) == COLOURS[1] and colour(60, 179.9) == COLOURS[0]
    assert picture[((84 - 50) * 4), 720, 3] == 0 and 0 < picture[((84 - 5) * 4), 100, 3] < 255  # sea, land
    assert picture[((84 - 10) * 4) - 1 : ((84 - 10) * 4) + 2, 720, 3].max() > 100  # a border
