"""Labels against independent look-ups: GDAL's own sampling, brute force on the sphere, and the stated spot values."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from rasterio.warp import Resampling, calculate_default_transform, reproject

from homing import tables
from homing.errors import HomingError
from homing.labels.agreement import compare, read_country_codes
from homing.labels.areas import locate
from homing.labels.boundaries import disputed_countries, read_areas
from homing.labels.grid import Grid
from homing.labels.label import raster_lookup, read_driving_sides
from homing.labels.rasters import Rules, sample
from homing.sphere import haversine_km, pixel_area_km2

ROOT = Path(__file__).resolve().parents[2]


def write_raster(path, values, transform, crs="EPSG:4326", nodata=None):
    height, width = values.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": values.dtype, "nodata": nodata}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as dataset:
        dataset.write(values, 1)
    return str(path)


@pytest.fixture
def world(tmp_path):
    """A world raster of 2 degrees with a third of its pixels without data."""
    values = np.random.default_rng(0).uniform(1, 30, (90, 180)).astype(np.float32)
    values[np.random.default_rng(1).random(values.shape) < 0.33] = -9999
    return write_raster(tmp_path / "world.tif", values, from_origin(-180, 90, 2, 2), nodata=-9999), values


@pytest.fixture
def points():
    rng = np.random.default_rng(2)
    return rng.uniform(-89.9, 89.9, 800), rng.uniform(-180, 180, 800)


def test_the_pixel_that_holds_the_point(world, points):
    path, _ = world
    found, distance = sample(path, *points, Rules())
    with rasterio.open(path) as dataset:
        expected = np.array([value[0] for value in dataset.sample(zip(points[1], points[0], strict=True))])
    expected = np.where(expected == -9999, np.nan, expected)
    np.testing.assert_array_equal(found, expected)
    assert (distance[~np.isnan(found)] == 0).all()


def test_the_nearest_valid_pixel_by_brute_force(world, points):
    path, values = world
    latitude, longitude = points
    rules = Rules(nearest_km=300)
    found, distance = sample(path, latitude, longitude, rules)
    own, _ = sample(path, latitude, longitude, Rules())
    centres = np.meshgrid(89 - 2 * np.arange(90), -179 + 2 * np.arange(180), indexing="ij")
    valid = values != -9999
    for point in np.flatnonzero(np.isnan(own)):
        away = haversine_km(latitude[point], longitude[point], centres[0][valid], centres[1][valid])
        if away.min() > 300:
            assert np.isnan(found[point])
        else:
            assert distance[point] == pytest.approx(away.min(), abs=1e-6)
            assert found[point] in values[valid][np.isclose(away, away.min(), atol=1e-6)]


def test_across_the_antimeridian(tmp_path):
    values = np.full((90, 180), -1, dtype=np.float32)
    values[45, 0] = 7  # the pixel just east of 180 degrees
    path = write_raster(tmp_path / "sea.tif", values, from_origin(-180, 90, 2, 2), nodata=-1)
    found, distance = sample(path, np.array([-1.0, -1.0]), np.array([179.5, -179.5]), Rules(nearest_km=200))
    assert found.tolist() == [7, 7]
    assert distance[0] == pytest.approx(haversine_km(-1, 179.5, -1, -179)) and distance[1] == 0


def test_longitude_180_is_longitude_minus_180(world):
    path, _ = world
    latitude = np.arange(-85.0, 86, 10)
    west, east = (sample(path, latitude, np.full(len(latitude), side), Rules())[0] for side in (-180.0, 180.0))
    np.testing.assert_array_equal(west, east)


def test_counts_become_densities_of_the_true_pixel_area(tmp_path):
    counts = np.full((90, 180), 1000, dtype=np.float32)
    path = write_raster(tmp_path / "people.tif", counts, from_origin(-180, 90, 2, 2))
    latitude = np.array([1.0, 61.0, -87.0])
    found, _ = sample(path, latitude, np.zeros(3), Rules(counts=True))
    np.testing.assert_allclose(found, 1000 / pixel_area_km2(latitude - 1, latitude + 1, 2), rtol=1e-12)


def test_a_raster_with_another_reference_system(tmp_path):
    """The same content warped to Mollweide gives the same values away from pixel borders."""
    smooth = np.repeat(np.linspace(0, 100, 90, dtype=np.float32)[:, None], 180, axis=1)
    source = write_raster(tmp_path / "smooth.tif", smooth, from_origin(-180, 90, 2, 2))
    target = tmp_path / "mollweide.tif"
    with rasterio.open(source) as dataset:
        transform, width, height = calculate_default_transform(
            dataset.crs, "ESRI:54009", dataset.width, dataset.height, *dataset.bounds, resolution=50_000
        )
        warped = np.full((height, width), np.nan, dtype=np.float32)
        reproject(rasterio.band(dataset, 1), warped, dst_transform=transform, dst_crs="ESRI:54009",
                  resampling=Resampling.bilinear, dst_nodata=np.nan)  # fmt: skip
    write_raster(target, warped, transform, crs="ESRI:54009", nodata=np.nan)
    latitude, longitude = np.linspace(-60, 60, 50), np.linspace(-120, 120, 50)
    found, _ = sample(str(target), latitude, longitude, Rules())
    np.testing.assert_allclose(found, np.interp(-latitude, -89 + 2 * np.arange(90), smooth[:, 0]), atol=1.5)


def test_a_raster_without_a_reference_system_is_named(tmp_path):
    path = write_raster(tmp_path / "lost.tif", np.ones((4, 4), dtype=np.uint8), from_origin(0, 4, 1, 1), crs=None)
    with pytest.raises(HomingError, match="lost.tif: no coordinate reference system"):
        sample(path, np.zeros(1), np.zeros(1), Rules())


def test_a_broken_raster_is_named(tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 not a tiff")
    with pytest.raises(HomingError, match=r"broken.tif: cannot be read as a raster"):
        sample(str(tmp_path / "broken.tif"), np.zeros(1), np.zeros(1), Rules())


def squares(rows) -> gpd.GeoDataFrame:
    """Areas named by their id, from (id, west, south, east, north)."""
    columns = {
        name: [row[0] for row in rows] for name in ("area_id", "area", "region_id", "region", "country", "country_name")
    }
    return gpd.GeoDataFrame(columns, geometry=[shapely.box(*row[1:]) for row in rows], crs="EPSG:4326")


def test_inside_on_the_border_and_off_the_coast():
    areas = squares([("a", 10, 0, 20, 10), ("b", 0, 0, 10, 10)])
    latitude, longitude = np.array([5.0, 5.0, 5.0, 5.0, 5.0]), np.array([5.0, 15.0, 10.0, -0.5, -3.0])
    row, distance = locate(Grid.of(areas.geometry.to_numpy()), latitude, longitude, nearest_km=100)
    assert [areas["area_id"].iloc[one] if one >= 0 else None for one in row] == ["b", "a", "a", "b", None]
    assert distance[:3].tolist() == [0, 0, 0] and np.isnan(distance[4])
    assert distance[3] == pytest.approx(haversine_km(5, -0.5, 5, 0), rel=1e-3)


def test_nearest_area_across_the_antimeridian():
    areas = squares([("east", 170, 0, 179, 10), ("west", -179.9, 0, -170, 10)])
    row, distance = locate(Grid.of(areas.geometry.to_numpy()), np.array([5.0]), np.array([179.7]), nearest_km=100)
    assert areas["area_id"].iloc[row[0]] == "west"
    assert distance[0] == pytest.approx(haversine_km(5, 179.7, 5, -179.9), rel=1e-3)


def test_nearest_area_by_brute_force():
    rng = np.random.default_rng(4)
    rows = [
        (f"a{n}", west, south, west + 2, south + 1.5) for n, (west, south) in enumerate(rng.uniform(-60, 60, (25, 2)))
    ]
    areas = squares(rows)
    latitude, longitude = rng.uniform(-62, 62, 300), rng.uniform(-62, 62, 300)
    row, distance = locate(Grid.of(areas.geometry.to_numpy()), latitude, longitude, nearest_km=250)
    borders = [shapely.get_coordinates(shapely.segmentize(shape.boundary, 0.005)) for shape in areas.geometry]
    for point in range(300):
        inside = areas.geometry.intersects(shapely.Point(longitude[point], latitude[point])).to_numpy()
        away = np.array(
            [haversine_km(latitude[point], longitude[point], ring[:, 1], ring[:, 0]).min() for ring in borders]
        )
        if inside.any():
            assert inside[row[point]] and distance[point] == 0
        elif away.min() > 251:
            assert row[point] == -1
        elif away.min() < 249:
            assert away[row[point]] <= away.min() + 0.05
            assert distance[point] == pytest.approx(away.min(), abs=0.05)


def write_package(path, layers):
    for name, frame in layers.items():
        frame.to_file(path, layer=name, driver="GPKG")
    return path


@pytest.fixture
def package(tmp_path):
    """Three countries: with two levels, with one, and with none; a missing name is written "NA" as GADM does."""
    box = shapely.box
    zero = gpd.GeoDataFrame(
        {"GID_0": ["AAA", "BBB", "CCC"], "COUNTRY": ["Alpha", "Beta", "Gamma"]},
        geometry=[box(0, 0, 4, 4), box(10, 0, 14, 4), box(20, 0, 24, 4)], crs="EPSG:4326",
    )  # fmt: skip
    one = gpd.GeoDataFrame(
        {"GID_0": ["AAA", "BBB", "BBB"], "COUNTRY": ["Alpha", "Beta", "Beta"],
         "GID_1": ["AAA.1_1", "BBB.1_1", "BBB.2_1"], "NAME_1": ["Only", "South", "NA"]},
        geometry=[box(0, 0, 4, 4), box(10, 0, 14, 2), box(10, 2, 14, 4)], crs="EPSG:4326",
    )  # fmt: skip
    two = gpd.GeoDataFrame(
        {"GID_0": ["AAA", "AAA"], "COUNTRY": ["Alpha", "Alpha"], "GID_1": ["AAA.1_1"] * 2, "NAME_1": ["Only"] * 2,
         "GID_2": ["AAA.1.1_1", "AAA.1.2_1"], "NAME_2": ["Left", "Right"]},
        geometry=[box(0, 0, 2, 4), box(2, 0, 4, 4)], crs="EPSG:4326",
    )  # fmt: skip
    return write_package(tmp_path / "levels.gpkg", {"ADM_0": zero, "ADM_1": one, "ADM_2": two})


def test_each_country_in_the_deepest_level_it_has(package):
    areas = read_areas([package]).set_index("area_id")
    assert set(areas.index) == {"AAA.1.1_1", "AAA.1.2_1", "BBB.1_1", "BBB.2_1", "CCC"}
    assert areas.loc["AAA.1.1_1", "region"] == "Only"
    assert areas.loc["BBB.1_1", "area"] == "South" and areas.loc["BBB.1_1", "region_id"] == "BBB.1_1"
    assert pd.isna(areas.loc["BBB.2_1", "region"])
    assert areas.loc["CCC", "area"] == "Gamma" and pd.isna(areas.loc["CCC", "region_id"])
    assert shapely.area(areas.geometry.to_numpy()).sum() == pytest.approx(48)


def test_a_package_without_its_layers_is_named(tmp_path):
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:4326")
    with pytest.raises(HomingError, match="no layer ADM_0 or level0; it has other"):
        read_areas([write_package(tmp_path / "levels.gpkg", {"other": frame})])


def test_the_stated_spot_values(sample_data):
    """shared/data/README.md: what the real rasters hold at known places."""
    rasters = sample_data / "rasters"
    cases = [
        ("koppen_geiger_0p1.tif", {"minimum": 1, "nearest_km": 50}, (1.3521, 103.8198), 1),  # Singapore Af
        ("koppen_geiger_0p1.tif", {"minimum": 1}, (55.7558, 37.6173), 26),  # Moscow Dfb
        ("koppen_geiger_0p1.tif", {"minimum": 1}, (30.0444, 31.2357), 4),  # Cairo BWh
        ("gpw_v4_population_density_rev11_2020_15_min.tif", {}, (35.6895, 139.6917), 13_267),  # Tokyo
        ("wc2.1_10m_bio_1.tif", {}, (62.0355, 129.6755), -9.6),  # Yakutsk
        ("wc2.1_10m_prec_01.tif", {}, (-3.119, -60.0217), 284),  # Manaus
        ("etopo20_elevation_20min.tif", {"minimum": -500}, (-16.5, -68.15), 4348),  # La Paz
    ]
    for file, rules, place, expected in cases:
        found, _ = sample(str(rasters / file), *(np.array([value]) for value in place), Rules(**rules))
        assert found[0] == pytest.approx(expected, abs=0.5 if abs(expected) > 30 else 0.06), file


@pytest.mark.parametrize(("name", "value"), [("temperature", 2931), ("temperature", 293.1), ("precipitation", -5)])
def test_a_raster_in_another_unit_is_refused(tmp_path, name, value):
    """Kelvin, and tenths of them, where the file's scale and offset were lost."""
    path = write_raster(tmp_path / "k.tif", np.full((90, 180), value, np.float32), from_origin(-180, 90, 2, 2))
    with pytest.raises(HomingError, match=rf"k.tif: {name} of .* is not in .* Choose another source"):
        raster_lookup(name, [path], {})(np.array([10.0]), np.array([20.0]))


def test_stored_scale_and_offset_are_applied(tmp_path):
    path = write_raster(tmp_path / "k.tif", np.full((90, 180), 2931, np.int16), from_origin(-180, 90, 2, 2))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.1,), (-273.15,)
    found = raster_lookup("temperature", [path], {})(np.array([10.0]), np.array([20.0]))
    assert found["temperature_c"][0] == pytest.approx(19.95)


def test_what_the_collection_says_is_counted_beside_ours(tmp_path, caplog):
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
    """The 76 countries on the left, with the two that the compared tables quarrel about (VI and GS: left); Namibia is
    a country, and GADM's disputed areas drive as those who administer them."""
    sides = read_driving_sides(ROOT / "resources/driving_side.csv")
    codes = read_country_codes(ROOT / "resources/driving_side.csv")
    assert sorted(two for two, three in codes.items() if sides[three]) == sorted(LEFT.split())
    assert len(codes) == 250 and codes["NA"] == "NAM" and sides["NAM"]
    assert sides["VIR"] and sides["SGS"] and not sides["USA"] and not sides["XKO"]
    for gid, country in disputed_countries().items():
        assert sides[gid] == sides[country], gid
