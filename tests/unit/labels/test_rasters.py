"""Raster look-ups against direct reads of the pixel and brute force on the sphere, on rasters of many layouts."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform as project

from homing.errors import HomingError
from homing.labels import rasters
from homing.labels.label import raster_lookup
from homing.labels.rasters import LABELS, Rules, sample
from homing.sphere import haversine_km, pixel_area_km2

MOLLWEIDE = "ESRI:54009"


def write_raster(path, values, transform, crs="EPSG:4326", nodata=None, **options):
    height, width = values.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": values.dtype, "nodata": nodata}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile | options) as dataset:
        dataset.write(values, 1)
    return str(path)


def brute(values, centres, latitude, longitude):
    """Values and distances of all valid pixels."""
    valid = ~np.isnan(values)
    distances = haversine_km(latitude, longitude, *(place[valid] for place in centres))
    return values[valid], distances


@st.composite
def worlds(draw):
    """A raster of part or all of the globe, north or south up, starting at any meridian."""
    step = draw(st.sampled_from([2.0, 2.5, 7.5, 10.0]))
    west = draw(st.sampled_from([-180.0, 0.0, -180.0 - step, -60.0]))
    width = round(360 / step) if west != -60 else 12
    width += 2 if west == -180.0 - step else 0  # two columns are there twice, as in GHS-POP
    top = draw(st.sampled_from([90.0, 60.0]))
    height = round((90 + top) / step) if draw(st.booleans()) else 9
    down = draw(st.booleans())
    transform = Affine(step, 0, west, 0, -step if down else step, top if down else top - height * step)
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    dtype = draw(st.sampled_from(["uint8", "int16", "float32"]))
    values = rng.integers(1, 100, (height, width)).astype(dtype)
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.4, 0.97]))] = 0
    options = draw(st.sampled_from([{}, {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}]))
    return values, transform, options, rng


def points_on(values, transform, rng):
    """Points anywhere, on borders and corners of pixels, at the poles and the antimeridian."""
    height, width = values.shape
    column, row = rng.integers(0, width + 1, 12), rng.integers(0, height + 1, 12)
    x, y = transform @ (column.astype(float), row + rng.choice([0, 0.5, 0.999], 12))
    x = np.concatenate([rng.uniform(-180, 180, 20), x, [-180, 180, 180, 0]])
    y = np.concatenate([rng.uniform(-90, 90, 20), y, [90, -90, 0, 90]])
    return np.clip(y, -90, 90), (x + 180) % 360 - 180 + 360 * (x == 180)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.sampled_from([0, 150, 900, 25_000]), st.sampled_from([None, 30]), st.sampled_from([None, 70]))
def test_the_pixel_of_the_point_else_the_nearest_valid_one(tmp_path_factory, world, reach, minimum, maximum):
    values, transform, options, rng = world
    path = write_raster(tmp_path_factory.mktemp("raster") / "a.tif", values, transform, nodata=0, **options)
    latitude, longitude = points_on(values, transform, rng)
    found, distance = sample(path, latitude, longitude, Rules(reach, minimum, maximum))
    height, width = values.shape
    x, y = transform @ np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    numbers = np.where((values == 0) | (values < (minimum or 0)) | (values > (maximum or 100)), np.nan, values)
    for point, (lat, lon) in enumerate(zip(latitude, longitude, strict=True)):
        own = np.nan
        for turn in (0, -360, 360):
            columns, rows = ~transform @ (lon + turn, lat)
            row, column = int(np.floor(rows)), int(np.floor(columns))
            row -= rows == height
            if 0 <= row < height and 0 <= column < width:
                own = numbers[row, column]
                break
        if not np.isnan(own):
            assert found[point] == own and distance[point] == 0
            continue
        candidates, distances = brute(numbers, (y, x), lat, lon)
        if reach and len(distances) and distances.min() <= reach:
            assert distance[point] == pytest.approx(distances.min(), abs=1e-6)
            assert found[point] in candidates[distances <= distances.min() + 1e-6]
        elif not len(distances) or distances.min() > reach + 1e-6:
            assert np.isnan(found[point]) and np.isnan(distance[point])


@pytest.fixture(scope="module")
def mollweide(tmp_path_factory):
    """Counts of 100 km pixels over the whole ellipse, without a third of them, as GHS-POP has them; -200 is no data."""
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 1e6, (180, 361)).astype(np.float64)
    values[rng.random(values.shape) < 0.33] = -200
    transform = from_origin(-18_050_000, 9_000_000, 100_000, 100_000)
    path = tmp_path_factory.mktemp("mollweide") / "GHS_POP.tif"
    return write_raster(path, values, transform, MOLLWEIDE, -200), values, transform


def test_mollweide(mollweide):
    """PROJ gives the pixel of a point and the centres of pixels, which have equal areas on the projection's sphere."""
    path, values, transform = mollweide
    rng = np.random.default_rng(1)
    latitude = np.concatenate([rng.uniform(-88, 88, 400), [0, 0, 0, 60, -60]])
    longitude = np.concatenate([rng.uniform(-180, 180, 400), [180, -180, 0, 180, -180]])
    rules = Rules(nearest_km=600, minimum=0, counts=True)
    found, distance = sample(path, latitude, longitude, rules)
    x, y = (np.array(part) for part in project("EPSG:4326", MOLLWEIDE, longitude.tolist(), latitude.tolist()))
    columns, rows = ~transform @ (x, y)
    row, column = np.floor(rows).astype(int), np.floor(columns).astype(int)
    centres = np.meshgrid(np.arange(values.shape[1]) + 0.5, np.arange(values.shape[0]) + 0.5)
    x, y = (part.ravel() for part in transform @ centres)
    valid = (values.ravel() >= 0) & ((x / 2) ** 2 + y**2 < 2 * 6_378_137**2)  # within the ellipse
    longitudes, latitudes = (np.array(part) for part in project(MOLLWEIDE, "EPSG:4326", x[valid], y[valid]))
    direct = 0
    for point in range(len(latitude)):
        own = values[row[point], column[point]]
        if own >= 0:
            assert distance[point] == 0
            expected = own / 10_000 * (6378.137 / 6371.0088) ** 2
            assert found[point] == pytest.approx(expected, rel=2e-4 if abs(latitude[point]) < 60 else 4e-2)
            direct += 1
            continue
        distances = haversine_km(latitude[point], longitude[point], latitudes, longitudes)
        if distances.min() < 599:
            assert distance[point] == pytest.approx(distances.min(), abs=0.01)
    assert direct > 200 and (distance > 0).sum() > 100


def test_across_the_antimeridian_in_mollweide(tmp_path):
    """The pixel on the other side of 180 degrees is at the other end of the raster."""
    values = np.full((180, 361), -200.0)
    row, (x, _) = 90, project("EPSG:4326", MOLLWEIDE, [-179.5], [-0.4])
    transform = from_origin(-18_050_000, 9_000_000, 100_000, 100_000)
    values[row, int((x[0] + 18_050_000) // 100_000)] = 7
    path = write_raster(tmp_path / "sea.tif", values, transform, MOLLWEIDE, -200)
    found, distance = sample(path, np.array([-0.4]), np.array([179.9]), Rules(nearest_km=150))
    assert found[0] == 7 and 30 < distance[0] < 150


def test_counts_become_densities_of_the_true_pixel_area(tmp_path):
    counts = np.full((90, 180), 1000, dtype=np.float32)
    path = write_raster(tmp_path / "people.tif", counts, from_origin(-180, 90, 2, 2))
    latitude = np.array([1.0, 61.0, -87.0])
    found, _ = sample(path, latitude, np.zeros(3), Rules(counts=True))
    np.testing.assert_allclose(found, 1000 / pixel_area_km2(latitude - 1, latitude + 1, 2), rtol=1e-12)


def test_each_block_is_decoded_once(tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(1, 30, (1024, 2048)).astype(np.uint8)
    path = write_raster(
        tmp_path / "a.tif", values, from_origin(-180, 90, 360 / 2048, 180 / 1024),
        tiled=True, blockxsize=256, blockysize=256, compress="deflate",
    )  # fmt: skip
    windows = []
    monkeypatch.setattr(
        rasters.Raster, "read", lambda self, window: windows.append(window) or self.dataset.read(1, window=window)
    )
    rng = np.random.default_rng(1)
    sample(path, rng.uniform(-90, 90, 5000), rng.uniform(-180, 180, 5000), Rules())
    places = [(window.row_off, window.col_off) for window in windows]
    assert len(places) == len(set(places)) == 32 and places == sorted(places)
    assert all((window.height, window.width) == (256, 256) for window in windows)


def months(folder: Path, zipped: bool) -> list[str]:
    rng = np.random.default_rng(5)
    layers = rng.uniform(-30, 35, (12, 18, 36)).astype(np.float32)
    layers[:, :4] = -3.4e38
    paths = [
        write_raster(folder / f"wc_{month:02d}.tif", layer, from_origin(-180, 90, 10, 10), nodata=-3.4e38)
        for month, layer in enumerate(layers, 1)
    ]
    if not zipped:
        return paths
    with zipfile.ZipFile(folder / "wc.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, Path(path).name)
    return [str(folder / "wc.zip")]


@pytest.mark.parametrize("zipped", [True, False])
def test_mean_and_range_of_twelve_months(tmp_path, zipped):
    files = months(tmp_path, zipped)
    lookup = raster_lookup("temperature", files, {"member": "wc_{month:02d}.tif", "nearest_km": 0})
    found = lookup(np.array([20.0, 80.0]), np.array([33.0, 33.0]))
    layers = []
    for month in range(1, 13):
        with rasterio.open(tmp_path / f"wc_{month:02d}.tif") as dataset:
            layers.append(float(next(dataset.sample([(33.0, 20.0)]))[0]))
    assert found["temperature_c"][0] == pytest.approx(np.mean(layers), rel=1e-6)
    assert found["temperature_range_c"][0] == pytest.approx(max(layers) - min(layers), rel=1e-6)
    assert found["temperature_distance_km"][0] == 0 and np.isnan(found["temperature_c"][1])


def test_classes_outside_the_legend_are_sea(tmp_path):
    """Koppen-Geiger maps write 0 (V1) or 255 for the sea; either way a point there takes the nearest class on land."""
    for sea in (0, 255):
        values = np.full((18, 36), sea, dtype=np.uint8)
        values[8, 20] = 14
        path = write_raster(tmp_path / f"{sea}.tif", values, from_origin(-180, 90, 10, 10))
        found = raster_lookup("climate", [path], {"nearest_km": 1300})(np.array([5.0, 5.0]), np.array([25.0, 36.0]))
        assert found["climate"].tolist() == [14, 14]
        assert found["climate_distance_km"][1] == pytest.approx(haversine_km(5, 36, 5, 25))


def row_of(path, *stored, dtype=np.float64):
    """A raster of pixels of 10 degrees along the equator with these values; and the points in their centres."""
    values = np.full((1, 36), stored[-1], dtype)
    values[0, : len(stored)] = stored
    file = write_raster(path, values, from_origin(-180, 5, 10, 10))
    return file, np.zeros(len(stored)), -175.0 + 10 * np.arange(len(stored))


PIXEL_KM2 = 2 * 6371.0088**2 * np.radians(10) * np.sin(np.radians(5))  # of a row along the equator


@pytest.mark.parametrize(
    ("name", "settings", "stored", "expected"),
    [
        ("climate", {}, [0, 1, 2, 15, 29, 30, 31, 99, 255], [None, 1, 2, 15, 29, 30, None, None, None]),
        ("elevation", {"minimum": -500}, [-501, -500.5, -500, -499.5, 0, 8849], [None, None, -500, -499.5, 0, 8849]),
        ("elevation", {}, [-12_000, -1, 9000], [-12_000, -1, 9000]),
        ("temperature", {}, [-80, 0, 60], [-80, 0, 60]),
        ("temperature", {"minimum": -10}, [-11, -10, -9], [None, -10, -9]),
        ("precipitation", {}, [0, 0.5, 10_000], [0, 0.5, 10_000]),
        ("population", {}, [-1, 0, 1e6], [-1, 0, 1e6]),
        ("population", {"unit": "count"}, [-200, -1, 0, 3e5], [None, None, 0, 3e5 / PIXEL_KM2]),
        ("population", {"unit": "count", "minimum": 2}, [1, 2, 3e5], [None, 2 / PIXEL_KM2, 3e5 / PIXEL_KM2]),
    ],
)
def test_the_valid_range_of_each_label(tmp_path, name, settings, stored, expected):
    """Climate has the classes 1 to 30, counts are not negative, all others have the minimum of the configuration."""
    path, latitude, longitude = row_of(tmp_path / "a.tif", *stored)
    found = raster_lookup(name, [path], settings)(latitude, longitude)
    values = np.array([np.nan if value is None else value for value in expected])
    np.testing.assert_allclose(found[LABELS[name].columns[0]], values, rtol=1e-12)
    np.testing.assert_array_equal(found[f"{name}_distance_km"], np.where(np.isnan(values), np.nan, 0))


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("temperature", -80, 60), ("precipitation", 0, 10_000), ("elevation", -12_000, 9000)],
)
def test_values_beyond_those_on_earth_are_rejected(tmp_path, name, lowest, highest):
    for value in (np.nextafter(lowest, -np.inf), np.nextafter(highest, np.inf)):
        path, latitude, longitude = row_of(tmp_path / "a.tif", lowest, highest, value)
        raster_lookup(name, [path], {})(latitude[:2], longitude[:2])
        with pytest.raises(HomingError, match=f"{name} of .* is not in .* another unit"):
            raster_lookup(name, [path], {})(latitude, longitude)


def test_invalid_pixels_take_the_nearest_valid_one_within_reach_and_none_beyond(tmp_path):
    """The centres of the pixels are 10 degrees of the equator apart."""
    path, latitude, longitude = row_of(tmp_path / "a.tif", 14, 0, 31, 0, dtype=np.uint8)
    apart = 2 * np.pi * 6371.0088 / 36
    for reach, expected in (
        (1.01 * apart, [14, 14, np.nan]),
        (2.01 * apart, [14, 14, 14]),
        (0.99 * apart, [14] + 2 * [np.nan]),
    ):
        found = raster_lookup("climate", [path], {"nearest_km": reach})(latitude[:3], longitude[:3])
        np.testing.assert_array_equal(found["climate"], expected)
        distance = np.where(np.isnan(expected), np.nan, apart * np.arange(3))
        np.testing.assert_allclose(found["climate_distance_km"], distance, atol=1e-6)


def test_nodata_that_no_pixel_can_have_is_none(tmp_path):
    values = np.full((18, 36), 241, dtype=np.uint8)  # -9999 in eight bits
    with rasterio.open(write_raster(tmp_path / "a.tif", values, from_origin(-180, 90, 10, 10)), "r+") as dataset:
        assert dataset.nodata is None
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="36" rasterYSize="18"><SRS>EPSG:4326</SRS>'
        "<GeoTransform>-180,10,0,90,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><NoDataValue>-9999</NoDataValue>'
        '<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert sample(str(vrt), np.array([1.0]), np.array([1.0]), Rules())[0].tolist() == [241]


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 2931), ("temperature", 293.1), ("precipitation", -5), ("climate", 2.5)]
)
def test_a_raster_in_another_unit_is_rejected(tmp_path, name, value):
    """For instance Kelvin, or tenths of them because the file lost its scale and offset."""
    path = write_raster(tmp_path / "k.tif", np.full((90, 180), value, np.float32), from_origin(-180, 90, 2, 2))
    with pytest.raises(HomingError, match=rf"k.tif: {name} of .* is not in .* Choose another source"):
        raster_lookup(name, [path], {})(np.array([10.0]), np.array([20.0]))


def test_stored_scale_and_offset_are_applied(tmp_path):
    path = write_raster(tmp_path / "k.tif", np.full((90, 180), 2931, np.int16), from_origin(-180, 90, 2, 2))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.1,), (-273.15,)
    found = raster_lookup("temperature", [path], {})(np.array([10.0]), np.array([20.0]))
    assert found["temperature_c"][0] == pytest.approx(19.95)


def lost(folder):
    return write_raster(folder / "a.tif", np.ones((4, 4), dtype=np.uint8), from_origin(0, 4, 1, 1), crs=None)


def metres_called_degrees(folder):
    return write_raster(folder / "a.tif", np.ones((4, 4), dtype=np.uint8), from_origin(-18e6, 9e6, 1000, 1000))


def rows_that_are_no_parallels(folder):
    transform = from_origin(2_500_000, 5_500_000, 1000, 1000)
    return write_raster(folder / "a.tif", np.ones((900, 900), dtype=np.uint8), transform, crs="EPSG:3035")


def rotated(folder):
    transform = Affine.translation(0, 4) @ Affine.rotation(20) @ Affine.scale(1, -1)
    return write_raster(folder / "a.tif", np.ones((4, 4), dtype=np.uint8), transform)


def no_raster(folder):
    (folder / "a.tif").write_bytes(b"II*\0 not a tiff")
    return str(folder / "a.tif")


def cut_short(folder):
    values = np.random.default_rng(0).integers(0, 255, (1024, 1024)).astype(np.uint8)
    path = write_raster(folder / "whole.tif", values, from_origin(-180, 90, 0.3, 0.15), compress="deflate")
    (folder / "a.tif").write_bytes(Path(path).read_bytes()[:400_000])
    return str(folder / "a.tif")


def a_missing_tile(folder):
    path = folder / "a.tif"
    profile = {"driver": "GTiff", "height": 512, "width": 512, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    profile |= {"transform": from_origin(-180, 90, 0.5, 0.25), "tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(path, "w", sparse_ok=True, **profile) as dataset:
        dataset.write(np.ones((256, 256), dtype=np.uint8), 1, window=rasterio.windows.Window(0, 0, 256, 256))
    return str(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lost, "no coordinate reference system; assign one"),
        (metres_called_degrees, r"says it is in degrees .* assign its true coordinate reference system"),
        (rows_that_are_no_parallels, "its rows are not parallels .* warp it to EPSG:4326"),
        (rotated, "its rows are rotated; warp it to EPSG:4326"),
        (no_raster, "cannot be read as a raster, retrieve it again"),
        (cut_short, "cannot be read as a raster, retrieve it again"),
        (a_missing_tile, "the tile at row 256, column 256 is missing; retrieve it again, or set nodata"),
    ],
)
def test_faults_of_a_raster_are_named(tmp_path, make, message):
    rng = np.random.default_rng(0)
    latitude, longitude = rng.uniform(-38, 90, 300), rng.uniform(-180, 74, 300)
    if make is a_missing_tile:
        latitude, longitude = np.array([80.0, 0.0]), np.array([-170.0, 0.0])
    with pytest.raises(HomingError, match=rf"a.tif: {message}"):
        sample(make(tmp_path), latitude, longitude, Rules())


def test_a_missing_member_names_what_there_is(tmp_path):
    with pytest.raises(HomingError, match=r"wc_13.tif: none of wc_01.tif, .* correct the key member"):
        raster_lookup("temperature", months(tmp_path, zipped=False), {"member": "wc_13.tif"})


def test_no_points(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.ones((18, 36), dtype=np.uint8), from_origin(-180, 90, 10, 10))
    found = raster_lookup("climate", [path], {"nearest_km": 10})(np.empty(0), np.empty(0))
    assert all(len(column) == 0 for column in found.values())


def test_the_stated_spot_values(sample_data):
    """The README of the sample data lists values of the real rasters at known places."""
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
        path = str(sample_data / "rasters" / file)
        found, _ = sample(path, *(np.array([value]) for value in place), Rules(**rules))
        assert found[0] == pytest.approx(expected, abs=0.5 if abs(expected) > 30 else 0.06), file


def test_real_rasters_at_real_photos_as_a_direct_read(sample_data):
    """At the coordinates of 100,000 real photos each value is that of the pixel in the whole array."""
    places = np.loadtxt(
        sample_data / "points/mp16_coordinates_100k.csv", delimiter=",", skiprows=1, usecols=(1, 2), max_rows=100_000
    )
    for file in ("koppen_geiger_0p1.tif", "wc2.1_10m_bio_1.tif", "etopo20_elevation_20min.tif"):
        path = str(sample_data / "rasters" / file)
        found, _ = sample(path, places[:, 0], places[:, 1], Rules())
        with rasterio.open(path) as dataset:
            whole = dataset.read(1, masked=True).astype(np.float64).filled(np.nan)
            columns, rows = ~dataset.transform @ (places[:, 1], places[:, 0])
        np.testing.assert_array_equal(found, whole[np.floor(rows).astype(int), np.floor(columns).astype(int)])
