"""The table of labels does not depend on workers, nothing is looked up twice, and a lost worker loses nothing."""

import logging
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dask.distributed
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from homing import tables
from homing.errors import HomingError
from homing.labels import cache, measure
from homing.labels.agreement import compare, read_country_codes
from homing.labels.areas import AreaLookup
from homing.labels.boundaries import NAMES, settled_codes
from homing.labels.curve import curve_keys, curve_order, matches
from homing.labels.grid import Grid
from homing.labels.label import label_photos, label_tile, lookups_of, raster_lookup, read_driving_sides
from homing.labels.measure import CLUSTER_FROM
from homing.labels.rasters import LABELS

ROOT = Path(__file__).resolve().parents[3]
SIDES = "iso_a2,iso_a3,side\nAA,AAA,left\nBB,BBB,right\n"


@pytest.fixture(scope="module")
def planet(tmp_path_factory) -> Path:
    """A folder with areas of three countries, their grid, five rasters and the sides people drive on."""
    folder = tmp_path_factory.mktemp("planet")
    boxes = {
        "AAA.1": (-60, -30, -20, 30),
        "AAA.2": (-20, -30, 20, 30),
        "BBB": (20, -40, 90, 50),
        "CCC": (100, 0, 150, 60),
    }
    columns = {name: list(boxes) for name in NAMES} | {"country": [name[:3] for name in boxes]}
    areas = gpd.GeoDataFrame(columns, geometry=[shapely.box(*box) for box in boxes.values()], crs="EPSG:4326")
    areas.to_parquet(folder / "areas.parquet")
    Grid.of(areas.geometry.to_numpy()).save(folder / "grid")
    rng = np.random.default_rng(0)
    for name in LABELS:
        values = rng.integers(1, 31, (90, 180)).astype(np.float32)
        values[rng.random(values.shape) < 0.33] = -9999
        profile = {"driver": "GTiff", "height": 90, "width": 180, "count": 1, "dtype": "float32", "nodata": -9999}
        with rasterio.open(
            folder / f"{name}.tif", "w", crs="EPSG:4326", transform=from_origin(-180, 90, 2, 2), **profile
        ) as dataset:
            dataset.write(values, 1)
    (folder / "sides.csv").write_text(SIDES)
    return folder


def lookups(planet: Path, **changes):
    config = {"boundaries": {"nearest_km": 200}} | {name: {"nearest_km": 400} for name in LABELS} | changes
    return lookups_of(planet / "grid", {name: [str(planet / f"{name}.tif")] for name in LABELS}, config)


def photo_table(path: Path, count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"photo_id": [f"p{seed}-{n:06d}" for n in range(count)], "latitude": rng.uniform(-90, 90, count),
         "longitude": rng.uniform(-180, 180, count), "views": np.int8(1),
         "captured_at": pd.Series(pd.to_datetime(["2020-05-06", None])).iloc[np.arange(count) % 2].to_numpy("M8[ms]")}
    )  # fmt: skip
    tables.write(path, frame, "photos")
    return frame


def label(planet: Path, photos: Path, folder: Path, asked=None, tiles=(), **resources) -> Path:
    """Run `label_photos` in a folder, which also holds its cache; returns the path of the table of labels."""
    folder.mkdir(exist_ok=True)
    label_photos(
        photos, planet / "areas.parquet", asked or lookups(planet), planet / "sides.csv", folder / "labels.parquet",
        folder / "agreement.csv", folder / "cache.parquet", tiles, **{"workers": 1, "memory_mb": 4000} | resources,
    )  # fmt: skip
    return folder / "labels.parquet"


def test_labels_have_the_same_bytes_with_any_workers_tasks_and_tiles(planet, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "CLUSTER_FROM", 10)
    photos = tmp_path / "photos.parquet"
    frame = photo_table(photos, 700)
    expected = label(planet, photos, tmp_path / "one")
    for workers, rows in ((1, 1), (1, 53), (2, None), (3, 90)):
        found = label(planet, photos, tmp_path / f"{workers}-{rows}", workers=workers, rows=rows)
        assert found.read_bytes() == expected.read_bytes(), (workers, rows)
    parts = []
    for tile in range(3):
        parts.append(tmp_path / f"tile-{tile}.parquet")
        label_tile(photos, lookups(planet), parts[-1], tmp_path / "none", tile, 3, workers=1, memory_mb=4000)
    assert label(planet, photos, tmp_path / "tiles", tiles=parts).read_bytes() == expected.read_bytes()

    labels = tables.read(expected, "labels")
    assert labels["photo_id"].tolist() == frame["photo_id"].tolist()
    assert (labels["month"].dropna() == 5).all() and labels["month"].isna().sum() == 350
    inside = labels[labels["admin_distance_km"] == 0]
    box = (frame["latitude"].abs() < 30) & frame["longitude"].between(-20, 20)
    assert set(inside.loc[box, "area_id"]) == {"AAA.2"} and set(inside.loc[box, "drives_on_left"]) == {True}
    assert inside.loc[inside["country"] == "CCC", "drives_on_left"].isna().all()
    assert labels["country"].isna().any() and (labels["country"].isna() == labels["admin_distance_km"].isna()).all()


def test_a_photos_label_is_that_of_its_pixel(planet, tmp_path):
    """Photos are sorted along the curve for the look-up, and back."""
    frame = photo_table(tmp_path / "photos.parquet", 300)
    labels = tables.read(label(planet, tmp_path / "photos.parquet", tmp_path / "out"), "labels")
    direct = (labels["temperature_distance_km"] == 0).to_numpy()
    with rasterio.open(planet / "temperature.tif") as dataset:
        places = frame.loc[direct, ["longitude", "latitude"]].to_numpy()
        values = np.array([value[0] for value in dataset.sample(places)])
    np.testing.assert_array_equal(labels["temperature_c"][direct], values)
    assert direct.sum() > 100


@dataclass(frozen=True)
class Counted:
    """A look-up that records what it was asked."""

    name: str
    edition: str
    asked: list

    @property
    def columns(self):
        return (self.name,)

    def __call__(self, latitude, longitude):
        self.asked.append((self.name, len(latitude)))
        return {self.name: (latitude + longitude) * len(self.edition)}

    def identity(self):
        return (self.name, self.edition)


def measured(path, places, asked, **editions):
    counted = [Counted(name, edition, asked) for name, edition in editions.items()]
    latitude, longitude = places[curve_order(*places.T)].T.copy()
    columns = cache.measure_with_cache(latitude, longitude, counted, [path], workers=1, memory_mb=4000)
    cache.write_cache(path, latitude, longitude, columns, counted)
    for name, edition in editions.items():
        np.testing.assert_allclose(columns[name], (latitude + longitude) * len(edition), rtol=1e-6)


def test_only_new_photos_and_changed_sources_are_looked_up(tmp_path):
    rng = np.random.default_rng(0)
    places = np.column_stack([rng.uniform(-90, 90, 1000), rng.uniform(-180, 180, 1000)])
    path, names = tmp_path / "cache.parquet", ("elevation_m", "temperature_c")
    for start, count, editions, expected in (
        (0, 900, ("a", "a"), {(names[0], 900), (names[1], 900)}),
        (0, 900, ("a", "a"), {(names[0], 0), (names[1], 0)}),
        (0, 1000, ("a", "a"), {(names[0], 100), (names[1], 100)}),
        (0, 1000, ("a", "bb"), {(names[0], 0), (names[1], 1000)}),
        (500, 1000, ("a", "bb"), {(names[0], 0), (names[1], 0)}),
        (0, 1000, ("a", "bb"), {(names[0], 500), (names[1], 500)}),
    ):
        asked: list = []
        measured(path, places[start:count], asked, **dict(zip(names, editions, strict=True)))
        assert {entry for entry in asked if entry[1]} == {entry for entry in expected if entry[1]}, (start, count)


def test_another_edition_of_a_raster_is_another_source(planet, tmp_path, caplog):
    photo_table(tmp_path / "photos.parquet", 100)
    caplog.set_level(logging.INFO)
    for changes, logged in (
        ({}, "climate, temperature, precipitation, elevation, population, areas: 100 photos"),
        ({}, "100 cached"),
        ({"climate": {"nearest_km": 10}}, "climate: 100 photos"),
    ):
        caplog.clear()
        label(planet, tmp_path / "photos.parquet", tmp_path / "out", lookups(planet, **changes))
        assert logged in caplog.text, caplog.text


def test_a_damaged_cache_is_logged_and_written_again(planet, tmp_path, caplog):
    photo_table(tmp_path / "photos.parquet", 50)
    first = label(planet, tmp_path / "photos.parquet", tmp_path / "out").read_bytes()
    (tmp_path / "out/cache.parquet").write_bytes(b"PAR1 not really")
    assert label(planet, tmp_path / "photos.parquet", tmp_path / "out").read_bytes() == first
    assert "the cache of look-ups is not used" in caplog.text and "50 cached" not in caplog.text


@dataclass(frozen=True)
class Deadly:
    """A look-up whose process dies the first time it has answered."""

    lookup: AreaLookup
    died: Path

    name = AreaLookup.name
    columns = AreaLookup.columns

    def __call__(self, latitude, longitude):
        found = self.lookup(latitude, longitude)
        if len(latitude) < 2000 and not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    def identity(self):
        return self.lookup.identity()


def test_a_killed_worker_loses_nothing(planet, tmp_path):
    photos = tmp_path / "photos.parquet"
    photo_table(photos, CLUSTER_FROM + 1)
    expected = label(planet, photos, tmp_path / "calm").read_bytes()
    *others, areas = lookups(planet)
    deadly = [*others, Deadly(areas, tmp_path / "died")]
    found = label(planet, photos, tmp_path / "killed", deadly, workers=2, rows=2001)
    assert (tmp_path / "died").exists() and found.read_bytes() == expected


def test_workers_that_die_again_and_again_end_in_a_clear_error(planet, tmp_path):
    photo_table(tmp_path / "photos.parquet", CLUSTER_FROM + 1)
    deadly = [Deadly(lookups(planet)[-1], tmp_path / "died")]
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(HomingError, match="killed again and again, .* give it more"),
    ):
        label(planet, tmp_path / "photos.parquet", tmp_path / "out", deadly, workers=2, rows=2001)


def test_a_workers_error_is_the_jobs(planet, tmp_path):
    photo_table(tmp_path / "photos.parquet", CLUSTER_FROM + 1)
    (tmp_path / "torn.tif").write_bytes((planet / "climate.tif").read_bytes()[:5000])
    torn = raster_lookup("climate", [str(tmp_path / "torn.tif")], {"nearest_km": 0})
    with pytest.raises(HomingError, match=r"torn.tif: cannot be read as a raster, retrieve it again"):
        label(planet, tmp_path / "photos.parquet", tmp_path / "out", [torn, *lookups(planet)[1:]], workers=2)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_script_without_a_guard_may_start_workers(planet, tmp_path):
    """Snakemake's scripts have no `if __name__` guard; workers must not run them again."""
    photo_table(tmp_path / "photos.parquet", CLUSTER_FROM + 1)
    (tmp_path / "script.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_labels import label\n"
        f"with open({str(tmp_path / 'runs')!r}, 'a') as file:\n    file.write('once ')\n"
        f"home = Path({str(tmp_path)!r})\n"
        f"label(Path({str(planet)!r}), home / 'photos.parquet', home / 'out', workers=2)\n"
    )
    subprocess.run([sys.executable, tmp_path / "script.py"], check=True, timeout=120)
    assert (tmp_path / "runs").read_text() == "once "
    assert len(tables.read(tmp_path / "out/labels.parquet", "labels")) == CLUSTER_FROM + 1


def test_photos_at_the_ends_of_the_globe(planet, tmp_path):
    frame = pd.DataFrame(
        {"photo_id": list("abcdef"), "latitude": [90, -90, 0, 0, 45, -0.0], "longitude": [0, 0, -180, 180, -180, 180],
         "views": 1}
    )  # fmt: skip
    tables.write(tmp_path / "photos.parquet", frame.astype({"latitude": float, "longitude": float}), "photos")
    labels = tables.read(label(planet, tmp_path / "photos.parquet", tmp_path / "out"), "labels").set_index("photo_id")
    assert (labels["temperature_distance_km"] < 400).all() and labels["temperature_c"].notna().all()
    assert labels.loc["c", "temperature_c"] == labels.loc["d", "temperature_c"] == labels.loc["f", "temperature_c"]


def test_no_photos(planet, tmp_path):
    tables.write(
        tmp_path / "photos.parquet", pd.DataFrame(columns=["photo_id", "latitude", "longitude", "views"]), "photos"
    )
    for _ in range(2):
        assert len(tables.read(label(planet, tmp_path / "photos.parquet", tmp_path / "out"), "labels")) == 0


def test_coordinates_stored_as_text_are_rejected(planet, tmp_path):
    frame = photo_table(tmp_path / "photos.parquet", 3)
    frame.astype({"latitude": str}).to_parquet(tmp_path / "photos.parquet")
    with pytest.raises(HomingError, match=r"photos.parquet: column 'latitude' must hold double, not .*string"):
        label(planet, tmp_path / "photos.parquet", tmp_path / "out")


def test_the_curve_keeps_neighbours_together_and_finds_equal_places():
    rng = np.random.default_rng(0)
    latitude, longitude = rng.uniform(-90, 90, 20_000), rng.uniform(-180, 180, 20_000)
    order = curve_order(latitude, longitude)
    steps = np.hypot(np.diff(latitude[order]), np.diff(longitude[order]))
    assert np.median(steps) < 3 * np.sqrt(180 * 360 / 20_000)
    x, y = (format(int(share * 2**32), "032b") for share in (0.75, 0.3125))
    key = curve_keys(np.array([-90 + 180 * 0.3125]), np.array([-180 + 360 * 0.75]))[0]
    assert key == int("".join(north + east for east, north in zip(x, y, strict=True)), 2)
    some = np.sort(rng.choice(20_000, 5000, replace=False))
    sorted_latitude, sorted_longitude = latitude[order], longitude[order]
    found = matches(sorted_latitude, sorted_longitude, sorted_latitude[some], sorted_longitude[some])
    expected = np.full(20_000, -1)
    expected[some] = np.arange(5000)
    np.testing.assert_array_equal(found, expected)


def test_points_with_one_key_on_the_curve_are_distinguished():
    latitude = np.array([10.0, np.nextafter(10.0, 11), np.nextafter(10.0, 9)])
    keys = curve_keys(latitude[:2], np.full(2, 20.0))
    assert keys[0] == keys[1]
    found = matches(latitude[:2], np.full(2, 20.0), latitude[1:2], np.full(1, 20.0))
    assert found.tolist() == [-1, 0]


def test_given_labels_are_counted_against_ours(tmp_path, caplog):
    photos = pd.DataFrame(
        {"photo_id": list("abcd"), "latitude": 0.0, "longitude": 0.0, "views": 1,
         "given_country": ["fr", "NA", "DE", None], "given_climate": pd.array([15, 15, 15, None], "Int8"),
         "given_drives_on_left": [True, None, False, None]}
    )  # fmt: skip
    labels = pd.DataFrame(
        {"photo_id": list("abcd"), "country": ["FRA", "NAM", "FRA", "FRA"],
         "climate": pd.array([15, 16, None, 15], "Int8"), "drives_on_left": [False, True, False, False]}
    )  # fmt: skip
    tables.write(tmp_path / "photos.parquet", photos, "photos")
    tables.write(tmp_path / "labels.parquet", labels, "labels")
    with caplog.at_level("INFO"):
        found = compare(
            tmp_path / "photos.parquet", tmp_path / "labels.parquet", {"FR": "FRA", "NA": "NAM", "DE": "DEU"}
        )
    rows = [tuple(row) for row in found.itertuples(index=False)]
    assert [row for row in rows if row[0] == "country"] == [
        ("country", "DEU", "FRA", 1), ("country", "FRA", "FRA", 1), ("country", "NAM", "NAM", 1)]  # fmt: skip
    assert ("climate", "15", "15", 1) in rows and ("climate", "15", "16", 1) in rows
    assert ("drives_on_left", "True", "False", 1) in rows and ("drives_on_left", "False", "False", 1) in rows
    assert len(rows) == 7 and "country: 66.67 % of 3 photos agree" in caplog.text


LEFT = (
    "AG AI AU BB BD BM BN BS BT BW CC CK CX CY DM FJ FK GB GD GG GS GY HK ID IE IM IN JE JM JP KE KI KN KY LC LK LS "
    "MO MS MT MU MV MW MY MZ NA NF NP NR NU NZ PG PK PN SB SC SG SH SR SZ TC TH TK TL TO TT TV TZ UG VC VG VI WS ZA "
    "ZM ZW"
)


def test_the_shipped_driving_sides():
    """Traffic keeps left in 76 countries, among them VI and GS, on which sources differ. "NA" is Namibia, and GADM's
    disputed areas have the side of the country that administers them."""
    sides = read_driving_sides(ROOT / "resources/driving_side.csv")
    codes = read_country_codes(ROOT / "resources/driving_side.csv")
    assert sorted(two for two, three in codes.items() if sides[three]) == sorted(LEFT.split())
    assert len(codes) == 250 and codes["NA"] == "NAM" and sides["NAM"]
    assert sides["VIR"] and sides["SGS"] and not sides["USA"] and not sides["XKO"]
    for gid, (country, _) in settled_codes().items():
        assert sides.get(gid, sides.get(country)) == sides.get(country), gid
    assert sides["HKG"] and sides["MAC"] and not sides["CHN"]
