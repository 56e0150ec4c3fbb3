"""The table of administrative areas: levels, country codes, repairs, the antimeridian."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from homing.errors import HomingError
from homing.labels.areas import locate
from homing.labels.boundaries import read_areas, settled_codes
from homing.labels.grid import Grid

box = shapely.box


def write_package(path, layers):
    for name, frame in layers.items():
        frame.to_file(path, layer=name, driver="GPKG")
    return path


@pytest.fixture
def package(tmp_path):
    """Three countries: with two levels, with one, and with none; a missing name is written "NA" as GADM does."""
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


def level(depth: int, *areas: tuple[str, ...], shapes) -> gpd.GeoDataFrame:
    """A layer of GADM from the codes of each area, the country first; names are the codes in lower case."""
    columns = {"COUNTRY": [codes[0].lower() for codes in areas]}
    for number in range(depth + 1):
        columns[f"GID_{number}"] = [codes[number] for codes in areas]
        if number:
            columns[f"NAME_{number}"] = [codes[number].lower() for codes in areas]
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs="EPSG:4326")


def test_a_region_without_areas_of_its_own_stays_whole(tmp_path):
    """Prague and Brussels are regions, and missing from the layer of second-level areas."""
    one = level(1, ("CZE", "CZE.1"), ("CZE", "CZE.2"), shapes=[box(0, 0, 4, 4), box(4, 0, 5, 1)])
    two = level(2, ("CZE", "CZE.1", "CZE.1.1"), shapes=[box(0, 0, 4, 4)])
    zero = level(0, ("CZE",), shapes=[box(0, 0, 5, 4)])
    areas = read_areas([write_package(tmp_path / "levels.gpkg", {"ADM_0": zero, "ADM_1": one, "ADM_2": two})])
    assert areas["area_id"].tolist() == ["CZE.1.1", "CZE.2"]
    assert areas["region_id"].tolist() == ["CZE.1", "CZE.2"]


def test_a_region_with_other_ids_below_is_not_there_twice(tmp_path):
    one = level(1, ("AAA", "AAA.x"), shapes=[box(0, 0, 4, 4)])
    two = level(2, ("AAA", "AAA.1", "AAA.1.1"), shapes=[box(0, 0, 4, 4)])
    zero = level(0, ("AAA",), shapes=[box(0, 0, 4, 4)])
    areas = read_areas([write_package(tmp_path / "levels.gpkg", {"ADM_0": zero, "ADM_1": one, "ADM_2": two})])
    assert areas["area_id"].tolist() == ["AAA.1.1"]


@pytest.mark.parametrize("deepest", [0, 1])
def test_without_the_deeper_layers_the_deepest_there_is(package, tmp_path, caplog, deepest):
    layers = {f"ADM_{number}": gpd.read_file(package, layer=f"ADM_{number}") for number in range(deepest + 1)}
    with caplog.at_level("INFO"):
        areas = read_areas([write_package(tmp_path / "fewer.gpkg", layers)])
    assert areas["area_id"].tolist() == [["AAA", "BBB", "CCC"], ["AAA.1_1", "BBB.1_1", "BBB.2_1", "CCC"]][deepest]
    assert "ADM_2: no such layer; countries keep the level above it" in caplog.text


def test_codes_that_iso_does_not_have_are_settled_by_the_table(tmp_path):
    codes = settled_codes()
    assert {f"Z0{number}" for number in range(1, 10)} | {"XKO", "XNC", "XAD", "XCA", "CHN.HKG", "CHN.MAC"} <= set(codes)
    names = ["IND", "Z01", "XKO", "XCA", "CHN"]
    zero = level(0, *((name,) for name in names), shapes=[box(2 * n, 0, 2 * n + 1, 1) for n in range(5)])
    regions = [("CHN", "CHN.1"), ("CHN", "CHN.HKG")]
    one = level(1, *regions, shapes=[box(8, 0, 9, 1), box(10, 0, 11, 1)])
    areas = read_areas([write_package(tmp_path / "levels.gpkg", {"ADM_0": zero, "ADM_1": one})]).set_index("area_id")
    assert areas["country"].to_dict() == {"IND": "IND", "Z01": "IND", "XKO": "XKX", "CHN.1": "CHN", "CHN.HKG": "HKG"}
    assert areas.loc["XKO", "country_name"] == "Kosovo" and areas.loc["CHN.HKG", "country_name"] == "Hong Kong"
    one_name = areas.assign(country_name=areas["country_name"].str.lower()).groupby("country")["country_name"].nunique()
    assert one_name.drop("IND").max() == 1


def test_invalid_rings_are_repaired_and_logged(tmp_path, caplog):
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    flat = shapely.Polygon([(5, 5), (6, 5), (7, 5)])
    zero = level(0, ("AAA",), ("BBB",), shapes=[bow_tie, flat])
    with caplog.at_level("WARNING"):
        areas = read_areas([write_package(tmp_path / "levels.gpkg", {"ADM_0": zero})])
    assert areas["area_id"].tolist() == ["AAA"] and areas.geometry.is_valid.all()
    assert shapely.area(areas.geometry.to_numpy()).sum() == pytest.approx(2)
    assert (
        "2 invalid areas repaired, first AAA" in caplog.text and "1 areas without any surface left out" in caplog.text
    )


def test_what_reaches_beyond_180_degrees_is_wrapped(tmp_path):
    zero = level(0, ("RUS",), ("FJI",), shapes=[box(170, 60, 191, 70), box(-182, -20, -179, -16)])
    areas = read_areas([write_package(tmp_path / "levels.gpkg", {"ADM_0": zero})])
    assert shapely.area(areas.geometry.to_numpy()).tolist() == pytest.approx([12, 210])
    latitude, longitude = np.array([65.0, 65.0, 65.0, -18.0, -18.0]), np.array([175.0, -175.0, -168.0, 179.0, -179.5])
    number, _ = locate(Grid.of(areas.geometry.to_numpy()), latitude, longitude, 0)
    assert number.tolist() == [1, 1, -1, 0, 0]


def test_slivers_and_overlaps_between_sources(tmp_path):
    """A gap belongs to the nearest area, an overlap to the area with the smallest id."""
    zero = level(0, ("AAA",), ("BBB",), ("CCC",), shapes=[box(0, 0, 1, 4), box(1.01, 0, 2, 4), box(1.9, 0, 3, 4)])
    grid = Grid.of(read_areas([write_package(tmp_path / "levels.gpkg", {"ADM_0": zero})]).geometry.to_numpy())
    longitude = np.array([1.004, 1.006, 1.95])
    number, distance = locate(grid, np.full(3, 2.0), longitude, 10)
    assert number.tolist() == [0, 1, 1] and (distance[:2] > 0).all() and distance[2] == 0
