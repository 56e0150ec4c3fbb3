"""Raster and area look-ups on worlds of a few pixels, where every answer can be told by hand, and on their limits."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from test_labels import label, lookups, photo_table, planet  # noqa: F401

from homing import tables
from homing.errors import HomingError
from homing.labels.areas import AreaLookup, locate
from homing.labels.grid import NOTHING, Grid
from homing.labels.label import label_tile, lookups_of, raster_lookup, read_driving_sides
from homing.labels.rasters import Rules, sample

DEGREE_KM = 6371.0088 * np.pi / 180


def write(path, values, west=0.0, north=10.0, step=1.0, nodata=None, crs="EPSG:4326") -> str:
    values = np.asarray(values)
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1}
    with rasterio.open(
        path, "w", crs=crs, transform=from_origin(west, north, step, step), dtype=values.dtype, nodata=nodata,
        **profile,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return str(path)


def read(lookup, latitude, longitude) -> list[list[float]]:
    return [lookup(np.array(latitude, float), np.array(longitude, float))[name].tolist() for name in lookup.columns]


def test_classes_of_the_legend_are_1_to_30(tmp_path):
    path = write(tmp_path / "climate.tif", np.array([[0, 1, 2, 29, 30, 31, 255]], np.uint8))
    lookup = raster_lookup("climate", [path], {})
    found, distance = read(lookup, [9.5] * 7, np.arange(7) + 0.5)
    np.testing.assert_array_equal(found, [np.nan, 1, 2, 29, 30, np.nan, np.nan])
    np.testing.assert_array_equal(distance, [np.nan, 0, 0, 0, 0, np.nan, np.nan])
    assert raster_lookup("climate", [path], {"nearest_km": 7}).rules == Rules(7, 1, 30, False)


def test_the_smallest_value_that_counts_is_the_configured_one_or_zero_people(tmp_path):
    path = write(tmp_path / "people.tif", np.array([[-3.0, 0, 8]], np.float32), north=0.5)
    people = raster_lookup("population", [path], {"unit": "count"})
    assert people.rules == Rules(0, 0, None, True)
    found, _ = read(people, [0.0] * 3, [0.5, 1.5, 2.5])
    pixel_km2 = DEGREE_KM**2 * np.sin(np.radians(0.5)) * 2 / np.radians(1)
    np.testing.assert_allclose(found, [np.nan, 0, 8 / pixel_km2], rtol=1e-9)
    assert raster_lookup("population", [path], {"minimum": -3}).rules == Rules(0, -3, None, False)
    height, _ = read(raster_lookup("elevation", [path], {"minimum": 0}), [0.0] * 3, [0.5, 1.5, 2.5])
    np.testing.assert_array_equal(height, [np.nan, 0, 8])
    height, _ = read(raster_lookup("elevation", [path], {}), [0.0] * 3, [0.5, 1.5, 2.5])
    assert height == [-3, 0, 8]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("temperature", -80, 60), ("precipitation", 0, 10_000), ("elevation", -12_000, 9_000)],
)
def test_values_at_the_ends_of_their_unit_are_taken_and_beyond_them_refused(tmp_path, name, least, most):
    ends = write(tmp_path / "ends.tif", np.array([[least, most]], np.float32))
    assert read(raster_lookup(name, [ends], {}), [9.5, 9.5], [0.5, 1.5])[0] == [least, most]
    for number, value in enumerate((least - 1, most + 1)):
        beyond = write(tmp_path / f"{number}.tif", np.array([[value]], np.float32))
        with pytest.raises(HomingError, match=f"{name} of {value:g} is not in"):
            read(raster_lookup(name, [beyond], {}), [9.5], [0.5])


def test_twelve_layers_give_their_mean_and_range_and_one_layer_no_range(tmp_path):
    months = np.random.default_rng(0).uniform(-10, 25, (12, 3)).astype(np.float32)
    paths = [write(tmp_path / f"month_{month + 1}.tif", values[None]) for month, values in enumerate(months)]
    stack = raster_lookup("temperature", paths, {"member": "month_{month}.tif"})
    assert stack.layers == tuple(paths)
    mean, spread, distance = read(stack, [9.5] * 3, [0.5, 1.5, 2.5])
    np.testing.assert_allclose(mean, months.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(spread, months.max(axis=0) - months.min(axis=0), rtol=1e-6)
    assert distance == [0, 0, 0]
    mean, spread, _ = read(raster_lookup("temperature", paths, {"member": "month_3.tif"}), [9.5] * 3, [0.5, 1.5, 2.5])
    np.testing.assert_allclose(mean, months[2], rtol=1e-6)
    assert np.isnan(spread).all()


def test_a_stack_answers_with_the_farthest_pixel_that_it_used(tmp_path):
    first = write(tmp_path / "month_1.tif", np.array([[np.nan, 4, 8]], np.float32), north=0.5)
    rest = [
        write(tmp_path / f"month_{month}.tif", np.array([[6, 4, 8]], np.float32), north=0.5) for month in range(2, 13)
    ]
    stack = raster_lookup("precipitation", [first, *rest], {"member": "month_{month}.tif", "nearest_km": 150})
    mean, spread, distance = read(stack, [0.0], [0.5])
    assert mean == pytest.approx([(4 + 11 * 6) / 12]) and spread == [2]
    assert distance == pytest.approx([DEGREE_KM], rel=1e-6)


def test_the_nearest_valid_pixel_is_taken_up_to_the_distance_asked_for(tmp_path):
    """Centres one degree apart on the equator: 111.2 km to the east, 222.4 km to the west, 157.3 km aslant."""
    values = np.full((3, 5), np.nan, np.float32)
    values[1, 0], values[1, 3], values[0, 3] = 7, 5, 3
    path = write(tmp_path / "islands.tif", values, north=1.5)
    for reach, value, distance in ((1.001, 5, 1), (0.999, np.nan, np.nan), (0, np.nan, np.nan)):
        found = sample(path, np.array([0.0]), np.array([2.5]), Rules(nearest_km=reach * DEGREE_KM))
        np.testing.assert_array_equal(found[0], [value])
        np.testing.assert_allclose(found[1], [distance * DEGREE_KM], rtol=1e-6)
    values[1, 3] = np.nan
    path = write(tmp_path / "fewer.tif", values, north=1.5)
    found = sample(path, np.array([0.0]), np.array([2.5]), Rules(nearest_km=300))
    assert found[0].tolist() == [3] and found[1] == pytest.approx(np.sqrt(2) * DEGREE_KM, rel=1e-3)
    values[0, 3] = np.nan
    path = write(tmp_path / "one.tif", values, north=1.5)
    found = sample(path, np.array([0.0]), np.array([2.5]), Rules(nearest_km=300))
    assert found[0].tolist() == [7] and found[1] == pytest.approx(2 * DEGREE_KM, rel=1e-6)


def test_the_nearest_pixel_may_lie_across_180_degrees(tmp_path):
    values = np.full((1, 360), -9, np.int16)
    values[0, 0], values[0, 355] = 4, 6
    path = write(tmp_path / "globe.tif", values, west=-180, north=0.5, nodata=-9)
    found = sample(path, np.zeros(4), np.array([178.0, 179.9, -179.9, 176.5]), Rules(nearest_km=400))
    assert found[0].tolist() == [4, 4, 4, 6]
    assert found[1] / DEGREE_KM == pytest.approx([2.5, 0.6, 0, 1], abs=1e-6)


def test_a_pixel_holds_its_northern_and_western_border(tmp_path):
    path = write(tmp_path / "four.tif", np.array([[1, 2], [3, 4]], np.uint8), west=10, north=2)
    latitude, longitude = [2, 2, 1, 1, 1.0001, 0, 0.5, 2.01, -0.01], [10, 11, 10, 11, 10.9999, 10, 12, 10, 11]
    found, _ = sample(path, np.array(latitude, float), np.array(longitude, float), Rules())
    np.testing.assert_array_equal(found, [1, 2, 3, 4, 1, 3, np.nan, np.nan, np.nan])


def test_a_projected_raster_ends_at_its_last_pixel(tmp_path):
    """In Mercator: the eastern and southern end belong to the last pixels, what is beyond them to none."""
    values = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    path = write(tmp_path / "mercator.tif", values, west=0, north=2e5, step=1e5, crs="EPSG:3857")
    degree = 111_319.490793  # metres in the projection
    x, y = (
        np.array([0, 1.5e5, 3e5, 3.0001e5, 3.5e5, -10, 1.5e5, 1.5e5]),
        np.array([1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 0, 2e5]),
    )
    latitude = np.degrees(2 * np.arctan(np.exp(np.radians(y / degree))) - np.pi / 2)
    found, _ = sample(path, latitude - 1e-9, x / degree, Rules())
    assert found[1] == 5 and np.isnan(found[[3, 4, 5]]).all() and found[7] == 2


def test_lookups_of_all_labels_begin_with_the_stack_of_months(tmp_path):
    paths = [write(tmp_path / f"m{month}.tif", np.array([[1]], np.uint8)) for month in range(1, 13)]
    rasters = dict.fromkeys(("climate", "elevation", "population"), paths[:1])
    rasters |= dict.fromkeys(("temperature", "precipitation"), paths)
    settings = {name: {} for name in ("climate", "elevation", "population", "temperature")}
    settings |= {"precipitation": {"member": "m{month}.tif"}, "boundaries": {"nearest_km": 42}}
    found = lookups_of("folder", rasters, settings)
    assert found[0].name == "precipitation" and len(found) == 6
    assert [lookup for lookup in found if lookup.name == "areas"] == [AreaLookup("folder", 42)]


TWO = np.array([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 180, 10)])


def test_areas_hold_their_borders_and_the_nearest_is_taken_up_to_the_distance():
    grid = Grid.of(TWO)
    latitude, longitude = np.array([5.0, 0, 0, 0, 5, 5, 0, 0]), np.array([5.0, 10, 14, 16, 180, -180, -179, -178])
    number, distance = locate(grid, latitude, longitude, 5 * DEGREE_KM)
    assert number.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert distance / DEGREE_KM == pytest.approx([0, 0, 4, 4, 0, 0, 1, 2], abs=1e-6)
    number, distance = locate(grid, latitude, longitude, 1.5 * DEGREE_KM)
    assert number.tolist() == [0, 0, NOTHING, NOTHING, 1, 1, 1, NOTHING]
    assert np.isnan(distance[number == NOTHING]).all() and (distance[number >= 0] < 1.5 * DEGREE_KM).all()
    number, _ = locate(grid, latitude, longitude, 0)
    assert number.tolist() == [0, 0, NOTHING, NOTHING, 1, 1, NOTHING, NOTHING]


def test_of_areas_that_overlap_the_first_answers():
    overlapping = np.array([shapely.box(5, 0, 15, 10), shapely.box(0, 0, 10, 10)])
    longitude = np.array([2.0, 5, 7, 10, 12])
    assert Grid.of(overlapping).locate(np.full(5, 3.3), longitude).tolist() == [1, 0, 0, 0, 0]
    assert Grid.of(overlapping[::-1]).locate(np.full(5, 3.3), longitude).tolist() == [0, 0, 0, 0, 1]


def test_of_areas_equally_near_the_first_answers():
    beside = np.array([shapely.box(0, 0, 5, 10), shapely.box(5, 0, 10, 10)])
    for areas in (beside, beside[::-1]):
        assert Grid.of(areas).nearest(np.array([12.0]), np.array([5.0]), 500)[0].tolist() == [0]


def test_tiles_of_the_curve_together_are_the_labels(planet, tmp_path):  # noqa: F811
    photo_table(tmp_path / "photos.parquet", 90)
    expected = label(planet, tmp_path / "photos.parquet", tmp_path / "one").read_bytes()
    tiles = [tmp_path / f"{tile}.parquet" for tile in range(3)]
    for number, tile in enumerate(tiles):
        own = lookups(planet), tile, tmp_path / "none"
        label_tile(tmp_path / "photos.parquet", *own, number, 3, workers=1, memory_mb=4000)
        assert pq.read_metadata(tile).num_rows == 30
    assert label(planet, tmp_path / "photos.parquet", tmp_path / "two", tiles=tiles).read_bytes() == expected
    latitude = np.concatenate([pq.read_table(tile)["latitude"].to_numpy() for tile in tiles])
    frame = tables.read(tmp_path / "photos.parquet", "photos")
    assert sorted(latitude) == sorted(frame["latitude"])


def test_a_point_on_the_border_is_the_nearest_place():
    places = Grid.of(TWO).nearest_places(np.array([-2.0, 5, 50]), np.array([5.0, 13, 0]), 400)
    assert places[0] == pytest.approx([0, 5], abs=1e-3) and places[1, 1] == 10
    assert np.isnan(places[2]).all()


def test_who_drives_on_the_left(tmp_path):
    (tmp_path / "sides.csv").write_text("iso_a3,side\nGBR,left\nFRA,right\nXXX,\n,left\n")
    assert read_driving_sides(tmp_path / "sides.csv") == {"GBR": True, "FRA": False}
