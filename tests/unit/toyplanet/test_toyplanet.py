"""The toy planet is in the upstream formats, is determined by its seed, and its photos show where they were taken."""

import csv
import io
import tarfile
import zipfile

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image

from homing.files import sha256
from homing.labels.boundaries import read_areas
from homing.toyplanet.climate import koppen
from homing.toyplanet.layers import write_boundaries, write_driving_sides, write_rasters
from homing.toyplanet.photos import scenes, sun_height, take_photos, write_photos
from homing.toyplanet.world import World


def make(folder, seed: int):
    world = World(seed, 7)
    write_boundaries(world, folder / "gadm_410-levels.zip")
    write_rasters(world, folder, degrees=2)
    write_driving_sides(world, folder / "sides.csv")
    write_photos(world, folder, 60, 48)
    return world


@pytest.fixture(scope="module")
def planet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planet")
    return folder, make(folder, 1)


def test_the_same_seed_gives_the_same_bytes(planet, tmp_path_factory):
    again, other = tmp_path_factory.mktemp("again"), tmp_path_factory.mktemp("other")
    make(again, 1)
    make(other, 2)
    names = sorted(path.name for path in planet[0].iterdir())
    assert [sha256(planet[0] / name) for name in names] == [sha256(again / name) for name in names]
    assert sha256(planet[0] / "mp-16-images00") != sha256(other / "mp-16-images00")


def test_boundaries_have_gadms_layers_and_gaps(planet):
    areas = read_areas([planet[0] / "gadm_410-levels.zip"])
    levels = areas["area_id"].str.count(r"\.").groupby(areas["country"]).first()
    assert sorted(levels.unique()) == [0, 1, 2] and len(levels) == 7
    assert areas.geometry.is_valid.all()
    bounds = areas.groupby("country").geometry.apply(lambda shapes: shapely.total_bounds(shapes.to_numpy()))
    assert any(west < -170 and east > 170 for west, _, east, _ in bounds), "no country lies across the antimeridian"


def test_rasters_have_the_products_conventions(planet):
    folder, world = planet
    with rasterio.open(folder / "koppen_geiger.tif") as dataset:
        classes = dataset.read(1)
        assert dataset.nodata is None and set(np.unique(classes)) <= set(range(31)) and (classes == 0).mean() > 0.5
        assert len(np.unique(classes)) > 8
    with rasterio.open(folder / "ppp_2020_1km_Aggregated.tif") as dataset:
        counts = dataset.read(1, masked=True)
        assert dataset.nodata == -99999 and dataset.bounds.top < 84 and dataset.transform.c != -180
        latitude, longitude = dataset.xy(*np.argwhere(~counts.mask)[0])[::-1]
        density = world.population_per_km2(np.array([latitude]), np.array([longitude]))[0]
        area = (111.195 * 2) ** 2 * np.cos(np.radians(latitude))
        assert counts.compressed()[0] == pytest.approx(density * area, rel=0.01)
    for name in ("tavg", "prec"):
        with zipfile.ZipFile(folder / f"wc2.1_10m_{name}.zip") as archive:
            assert archive.namelist() == [f"wc2.1_10m_{name}_{month:02d}.tif" for month in range(1, 13)]
    with rasterio.open(folder / "ETOPO_2022_v1_60s_N90W180_surface.tif") as dataset:
        relief = dataset.read(1)
        assert relief.min() < -100 and relief.max() > 500


@pytest.mark.parametrize(
    ("temperature", "rain", "latitude", "expected"),
    [
        ([26] * 12, [250] * 12, 1, 1),  # Singapore: Af
        ([14, 15, 18, 22, 26, 28, 29, 29, 27, 24, 20, 15], [5, 4, 4, 1, 1, 0, 0, 0, 0, 1, 3, 6], 30, 4),  # Cairo: BWh
        (
            [-7, -6, -1, 7, 14, 17, 19, 17, 11, 5, -1, -5],
            [52, 41, 35, 37, 49, 80, 85, 82, 68, 71, 55, 52],
            56,
            26,
        ),  # Dfb
        (
            [8, 9, 11, 14, 18, 22, 25, 25, 21, 17, 12, 9],
            [70, 70, 60, 55, 35, 15, 12, 25, 65, 90, 100, 80],
            42,
            8,
        ),  # Csa
        ([17, 17, 15, 13, 10, 8, 7, 8, 9, 11, 13, 15], [60] * 12, -42, 15),  # Hobart-like: Cfb
        ([-30, -28, -25, -15, -5, 2, 5, 3, -1, -10, -20, -27], [20] * 12, 75, 29),  # ET
    ],
)
def test_climate_classes_of_known_places(temperature, rain, latitude, expected):
    found = koppen(np.array([temperature], float), np.array([rain], float), np.array([float(latitude)]))
    assert found[0] == expected


def test_the_sun_stands_where_it_should():
    import pandas as pd

    noon = pd.Series(pd.to_datetime(["2020-06-21 12:00", "2020-12-21 12:00", "2020-03-21 12:00"]))
    np.testing.assert_allclose(sun_height(np.array([50.0, 50.0, 0.0]), noon), [63.4, 16.6, 90], atol=1.5)


def test_the_archive_is_split_in_two_and_listed(planet):
    folder, _ = planet
    content = (folder / "mp-16-images00").read_bytes() + (folder / "mp-16-images01").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = tar.getnames()
        images = [Image.open(tar.extractfile(name)) for name in names]
    assert all(image.size == (48, 48) and image.format == "JPEG" for image in images)
    with (folder / "MP16_Pro_places365.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["IMG_ID"] for row in rows] == names
    assert any(not row["CAPTURED_AT"] for row in rows) and len({row["AUTHOR"] for row in rows}) < len(rows)


def test_scenes_follow_the_place():
    world = World(1, 7)
    photos = take_photos(world, 3000)
    shown = scenes(world, photos)
    assert photos["longitude"].between(-180, 180, inclusive="left").all()
    cold = np.array([scene.temperature_c for scene in shown])
    assert np.corrcoef(cold, np.abs(photos["latitude"]))[0, 1] < -0.5
    assert len({scene.country for scene in shown}) == 7
    sides = {scene.country: scene.drives_on_left for scene in shown}
    assert all(scene.drives_on_left == sides[scene.country] for scene in shown) and len(set(sides.values())) == 2
    months = photos["moment"].dt.month
    for hemisphere, january in ((photos["latitude"] > 5, 0.0), (photos["latitude"] < -5, 0.5)):
        phases = {scene.year_phase for scene, use in zip(shown, hemisphere & (months == 1), strict=True) if use}
        assert phases == {january}


def test_a_photo_differs_with_what_it_shows():
    from dataclasses import replace

    from homing.toyplanet.render import render

    world = World(1, 7)
    scene = scenes(world, take_photos(world, 1))[0]
    picture = np.asarray(Image.open(io.BytesIO(render(scene, 64))), dtype=float)
    assert (np.asarray(Image.open(io.BytesIO(render(scene, 64)))) == picture).all()
    changes = {
        "country": (scene.country + 1) % 7, "climate": 30 if scene.climate < 20 else 1, "temperature_c": -25.0,
        "elevation_m": 5000.0, "population_per_km2": 6000.0, "year_phase": (scene.year_phase + 0.5) % 1,
        "sun_height": 3.0 if scene.sun_height > 30 else 80.0, "drives_on_left": not scene.drives_on_left,
    }  # fmt: skip
    for name, value in changes.items():
        other = np.asarray(Image.open(io.BytesIO(render(replace(scene, **{name: value}), 64))), dtype=float)
        assert (np.abs(other - picture).max(axis=2) > 40).mean() > 0.005, f"{name} does not show"
