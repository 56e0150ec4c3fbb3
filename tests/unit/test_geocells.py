"""What a partition guarantees: all land once, sizes within limits, none across countries, no order of rows matters."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from sklearn.cluster import OPTICS

from homing.errors import HomingError
from homing.geocells import partition
from homing.geocells.assign import assign
from homing.geocells.borders import LEAST_KM, shared_borders
from homing.geocells.land import area_km2
from homing.geocells.merge import merge_small
from homing.geocells.partition import make_geocells
from homing.geocells.points import shaping_points
from homing.geocells.quality import measure
from homing.optics import optics_clusters, optics_order
from homing.sphere import pixel_area_km2

SETTINGS = {
    "method": "semantic", "min_photos": 20, "max_photos": 60, "max_radius_km": None, "optics": [[8, 0.05], [10, 0.025]],
    "levels": [4], "admin_level": "region", "s2_level": 13, "quadtree_depth": 10, "h3_resolution": None,
}  # fmt: skip


def grid_country(code: str, west: float, south: float, columns: int = 6, rows: int = 5, region_columns: int = 3):
    """A country of 1-degree areas in regions of `region_columns` columns, in one table row each."""
    found = []
    for column in range(columns):
        for row in range(rows):
            region = f"{code}.{column // region_columns}"
            shape = shapely.box(west + column, south + row, west + column + 1, south + row + 1)
            found.append(
                (f"{region}.{column}.{row}", f"area {column} {row}", region, f"region {region}", code, code, shape)
            )
    return found


def table(rows) -> gpd.GeoDataFrame:
    names = ["area_id", "area", "region_id", "region", "country", "country_name", "geometry"]
    return gpd.GeoDataFrame(pd.DataFrame(rows, columns=names), geometry="geometry", crs="EPSG:4326")


def scatter(rng, count, west, south, east, north):
    return np.column_stack([rng.uniform(south, north, count), rng.uniform(west, east, count)])


@pytest.fixture(scope="module")
def world():
    """Two countries with crowded corners, one with too few photos, one without any, one across the antimeridian."""
    rng = np.random.default_rng(0)
    areas = table(
        [
            *grid_country("AAA", 0, 40), *grid_country("BBB", 6, 40), *grid_country("CCC", 40, 10, 2, 2),
            *grid_country("DDD", 60, 10, 2, 2), *grid_country("EEE", 176, -20, 4, 3),
            *[row for row in grid_country("EEE", -180, -20, 3, 3, 9)],
        ]
    )  # fmt: skip
    areas.loc[areas.index[-9:], "area_id"] = [f"EEE.w.{number}" for number in range(9)]
    crowds = [
        scatter(rng, 500, 0, 40, 6, 45), rng.normal([44.5, 0.6], 0.05, (400, 2)), scatter(rng, 150, 6, 40, 12, 45),
        rng.normal([41, 11], 0.1, (200, 2)), np.tile([42.25, 8.5], (130, 1)), scatter(rng, 7, 40, 10, 42, 12),
        scatter(rng, 200, 176, -20, 180, -17), scatter(rng, 250, -180, -20, -177, -17),
    ]  # fmt: skip
    places = np.concatenate(crowds)
    points = pd.DataFrame(places, columns=["latitude", "longitude"])
    points.insert(0, "photo_id", [f"p{number:05d}" for number in range(len(points))])
    owner = gpd.sjoin(
        gpd.GeoDataFrame(points, geometry=gpd.points_from_xy(points["longitude"], points["latitude"]), crs="EPSG:4326"),
        areas[["area_id", "country", "geometry"]],
    ).drop_duplicates("photo_id")
    return areas, points.merge(owner[["photo_id", "area_id", "country"]], on="photo_id")


@pytest.fixture(scope="module")
def made(world):
    return make_geocells(*world, SETTINGS)


def test_all_land_of_countries_with_photos_is_in_exactly_one_cell(world, made):
    areas, _ = world
    cells, _, _ = made
    for country, own in areas.groupby("country"):
        shapes = cells.geometry[cells["country"] == country].to_numpy()
        if country == "DDD":
            assert len(shapes) == 0
            continue
        total = sum(area_km2(shape) for shape in own.geometry)
        assert sum(map(area_km2, shapes)) == pytest.approx(total, rel=1e-9)
        assert area_km2(shapely.union_all(shapes)) == pytest.approx(total, rel=1e-9)


def test_sizes_are_within_the_limits_or_named_as_exceptions(made):
    cells, shaping, exceptions = made
    photos = shaping["cell_id"].value_counts().reindex(cells["cell_id"])
    assert (photos.to_numpy() == cells["photos"].to_numpy()).all()
    odd = cells[(cells["photos"] < 20) | (cells["photos"] > 60)]
    assert set(odd["cell_id"]) == {entry["cell_id"] for entry in exceptions}
    reasons = {entry["country"]: entry["reason"] for entry in exceptions}
    assert "fewer photos" in reasons["CCC"]
    assert "one place holds 130 photos" in reasons["BBB"] and (odd["photos"] > 60).sum() == 1
    assert set(reasons) == {"BBB", "CCC"}


def test_no_cell_crosses_a_country_and_each_has_its_hierarchy(world, made):
    areas, _ = world
    cells, _, _ = made
    owner = areas.set_index("area_id")["country"]
    for cell in cells.itertuples():
        assert set(owner[cell.area_ids]) == {cell.country}
        assert cell.name and cell.region


def test_every_shaping_photo_lies_in_its_own_cell(made):
    cells, shaping, _ = made
    shapes = cells.set_index("cell_id").geometry
    points = shapely.points(shaping["longitude"], shaping["latitude"])
    away = shapely.distance(shapes.loc[shaping["cell_id"]].to_numpy(), points)
    assert away.max() < 1e-9


def test_cells_across_the_antimeridian_are_cut_at_180_degrees(made):
    cells, _, _ = made
    far = cells[cells["country"] == "EEE"]
    assert (far.geometry.bounds["minx"] >= -180).all() and (far.geometry.bounds["maxx"] <= 180).all()
    assert far["radius_km"].max() < 800  # a mean taken in degrees would lie on the other side of the globe


def test_a_cell_may_join_both_sides_of_the_antimeridian():
    areas = table(
        [
            ("F.1", "east", "F", "region", "FFF", "FFF", shapely.box(178, 0, 180, 2)),
            ("F.2", "west", "F", "region", "FFF", "FFF", shapely.box(-180, 0, -178, 2)),
        ]
    )
    rng = np.random.default_rng(8)
    places = np.concatenate([scatter(rng, 14, 178, 0, 180, 2), scatter(rng, 14, -180, 0, -178, 2)])
    points = pd.DataFrame(places, columns=["latitude", "longitude"])
    points = points.assign(photo_id=[f"p{n}" for n in range(28)], country="FFF", area_id=["F.1"] * 14 + ["F.2"] * 14)
    cells, _, exceptions = make_geocells(areas, points, SETTINGS)
    assert len(cells) == 1 and not exceptions
    assert sorted(cells["area_ids"].iloc[0]) == ["F.1", "F.2"]
    assert abs(cells["longitude"].iloc[0]) > 179 and cells["radius_km"].iloc[0] < 320
    assert area_km2(cells.geometry.iloc[0]) == pytest.approx(sum(map(area_km2, areas.geometry)), rel=1e-12)


def test_the_order_of_rows_changes_nothing(world, made):
    areas, points = world
    again, shaping, _ = make_geocells(
        areas.sample(frac=1, random_state=1), points.sample(frac=1, random_state=2), SETTINGS
    )
    pd.testing.assert_frame_equal(
        pd.DataFrame(made[0].drop(columns="geometry")), pd.DataFrame(again.drop(columns="geometry"))
    )
    assert (shapely.to_wkb(made[0].geometry.to_numpy()) == shapely.to_wkb(again.geometry.to_numpy())).all()
    assert dict(zip(shaping["photo_id"], shaping["cell_id"], strict=True)) == dict(
        zip(made[1]["photo_id"], made[1]["cell_id"], strict=True)
    )


def test_the_number_of_workers_changes_nothing(world, made, monkeypatch):
    monkeypatch.setattr(partition, "CLUSTER_FROM", 10)
    again, shaping, exceptions = make_geocells(*world, SETTINGS, workers=2)
    pd.testing.assert_frame_equal(pd.DataFrame(made[0]), pd.DataFrame(again))
    pd.testing.assert_frame_equal(made[1], shaping)
    assert exceptions == made[2]


def test_overlapping_areas_share_the_land_and_the_first_has_what_both_claim():
    rng = np.random.default_rng(5)
    areas = table(
        [
            (f"O.{n}", f"o{n}", "O", "region", "OOO", "OOO", shapely.box(n * 0.9, 0, n * 0.9 + 1, 1 + n / 7))
            for n in range(4)
        ]
    )
    places = scatter(rng, 160, 0, 0, 3.7, 1)
    points = pd.DataFrame(places, columns=["latitude", "longitude"]).assign(country="OOO")
    points["photo_id"] = [f"p{n}" for n in range(len(points))]
    points["area_id"] = [f"O.{min(3, max(0, int(np.ceil((x - 1) / 0.9))))}" for x in points["longitude"]]
    cells, shaping, _ = make_geocells(areas, points, SETTINGS)
    whole = shapely.union_all(areas.geometry.to_numpy())
    assert sum(map(area_km2, cells.geometry)) == pytest.approx(area_km2(whole), rel=1e-9)
    away = shapely.distance(
        cells.geometry.to_numpy()[shaping["cell_id"]], shapely.points(shaping["longitude"], shaping["latitude"])
    )
    assert away.max() < 1e-9


def test_neighbours_share_edges_or_touch():
    box = shapely.box
    shapes = np.array([box(0, 0, 1, 1), box(1, 0, 2, 1), box(2, 1, 3, 2), box(2.9, 1.2, 4, 1.8), box(9, 9, 10, 10)])
    found = shared_borders(shapes)
    assert set(found) == {(0, 1), (1, 2), (2, 3)}
    assert found[0, 1] == pytest.approx(111.195, abs=0.01) and found[1, 2] == found[2, 3] == LEAST_KM


def test_photos_elsewhere_get_the_cell_that_holds_them_or_the_nearest(world, made):
    areas, _ = world
    cells, shaping, _ = made
    rng = np.random.default_rng(3)
    places = np.concatenate([scatter(rng, 200, 0, 40, 12, 45), scatter(rng, 100, -180, -20, -177, -17)])
    photos = pd.DataFrame(places, columns=["latitude", "longitude"])
    points = gpd.GeoSeries(gpd.points_from_xy(photos["longitude"], photos["latitude"]), crs="EPSG:4326")
    joined = gpd.sjoin(gpd.GeoDataFrame(photos, geometry=points), areas[["area_id", "country", "geometry"]])
    joined = joined[~joined.index.duplicated()].sort_index()
    cell_ids = assign(cells, shaping, joined, within_countries=True)
    away = shapely.distance(cells.set_index("cell_id").geometry.loc[cell_ids].to_numpy(), joined.geometry.to_numpy())
    assert away.max() < 1e-9
    ocean = pd.DataFrame({"latitude": [39.0], "longitude": [0.5], "area_id": [None], "country": [None]})
    assert cells.loc[assign(cells, shaping, ocean, within_countries=True)[0], "country"] == "AAA"


def test_the_quality_file_says_what_is_true(world, made):
    areas, points = world
    cells, shaping, exceptions = made
    photos = shaping.assign(split="train")
    quality = measure(areas, cells, exceptions, photos, shaping, SETTINGS)
    assert quality["area_lost_share"] < 1e-9
    assert quality["countries_without_photos"] == ["DDD"]
    assert quality["oracle.train.photos"] == len(points)
    assert quality["photos_per_cell.max"] == cells["photos"].max()


def test_no_photo_in_any_area_is_an_error(world):
    areas, points = world
    with pytest.raises(HomingError, match="no training photo lies in any administrative area"):
        make_geocells(areas, points.assign(country="nowhere"), SETTINGS)


def test_held_out_photos_never_shape_the_cells():
    photos = pd.DataFrame(
        {"photo_id": list("abcd"), "latitude": [0.0, 1, 2, 3], "longitude": [0.0, 0, 0, 0],
         "split": ["train", "val", "test", "train"]}
    )  # fmt: skip
    assert shaping_points(photos, photos, own=True)["photo_id"].tolist() == ["a", "d"]
    others = pd.DataFrame({"photo_id": list("xyz"), "latitude": [1.000001, 2.5, 0.0], "longitude": [0.0, 0, 0]})
    assert shaping_points(others, photos, own=False)["photo_id"].tolist() == ["y", "z"]


def test_small_areas_join_their_own_region_first():
    shapes = np.array([shapely.box(column, 0, column + 1, 1) for column in range(4)])
    groups = merge_small(shapes, ["r1", "r1", "r2", "r2"], np.array([5, 30, 5, 30]), 20, 60)
    assert sorted(sorted(group) for group in groups) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("seed", range(5))
def test_optics_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    plane = np.concatenate([rng.normal(centre, 1 + centre / 20, (80, 2)) for centre in (0, 12, 30)])
    oracle = OPTICS(min_samples=8, xi=0.05).fit(plane)
    ordering, reachability, predecessor = optics_order(plane, 8)
    assert (ordering == oracle.ordering_).all() and (predecessor == oracle.predecessor_).all()
    np.testing.assert_array_equal(reachability, oracle.reachability_)
    assert (optics_clusters(plane, 8, 0.05) == oracle.labels_).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_optics_is_scikit_learns_where_points_and_distances_are_equal(dimensions):
    """On a lattice everything is a tie; some points are there twice; more points than are kept in one stretch."""
    rng = np.random.default_rng(dimensions)
    plane = rng.integers(0, 6, (400, dimensions)).astype(float)
    oracle = OPTICS(min_samples=5, xi=0.05, algorithm="kd_tree").fit(plane)
    ordering, reachability, predecessor = optics_order(plane, 5)
    assert (ordering == oracle.ordering_).all() and (predecessor == oracle.predecessor_).all()
    np.testing.assert_array_equal(reachability, oracle.reachability_)


def test_areas_on_the_sphere():
    assert area_km2(shapely.box(10, 20, 12, 21)) == pytest.approx(float(pixel_area_km2(20, 21, 2)), rel=1e-12)
