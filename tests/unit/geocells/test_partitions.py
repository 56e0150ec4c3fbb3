"""Every method returns the same table with all photos; levels nest; settings are fit_settings to a number of cells."""

import numpy as np
import pandas as pd
import pytest
import shapely
from worlds import SETTINGS, photos_at, random_world

from homing import tables
from homing.geocells.compare import at_equal_count, fit_settings
from homing.geocells.hierarchy import hierarchy
from homing.geocells.methods.country import Country
from homing.geocells.methods.kmeans import lloyd
from homing.geocells.partition import LATTICES, make_geocells
from homing.sphere import haversine_km

METHODS = {
    "semantic": {}, "kmeans": {}, "area": {"method": "admin", "admin_level": "area"},
    "region": {"method": "admin", "admin_level": "region"}, "s2": {}, "h3": {}, "quadtree": {}, "hierarchy": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return random_world("across 180", 11, photos=3000)


@pytest.fixture(scope="module")
def made(world):
    """The partition of the world by each method."""
    return {
        name: make_geocells(world.areas, world.points, SETTINGS | {"method": name} | own)
        for name, own in METHODS.items()
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_same_table(name, world, made):
    cells, shaping, _ = made[name]
    like = made["semantic"].cells
    assert cells.columns.tolist() == like.columns.tolist() and cells.crs == like.crs
    plain = [column for column in cells if column not in ("region_id", "region", "geometry")]
    assert cells[plain].dtypes.astype(str).to_dict() == like[plain].dtypes.astype(str).to_dict()
    assert cells["cell_id"].tolist() == list(range(len(cells)))
    photos = np.bincount(shaping["cell_id"], minlength=len(cells))
    assert (photos == cells["photos"].to_numpy()).all() and photos.sum() == len(world.points)
    assert cells.is_valid.all() and not cells.is_empty.any() and cells["name"].notna().all()
    known = set(world.areas["area_id"])
    assert all(ids and set(ids) <= known for ids in cells["area_ids"])
    assert sorted(shaping["photo_id"]) == sorted(world.points["photo_id"])


@pytest.mark.parametrize("name", ["kmeans", "area", "region", "hierarchy"])
def test_methods_by_country_cover_its_land_once(name, world, made):
    cells = made[name].cells
    for country, own in world.areas.groupby("country"):
        land = shapely.union_all(own.geometry.to_numpy())
        shapes = cells.geometry[cells["country"] == country].to_numpy()
        assert shapely.area(shapes).sum() == pytest.approx(land.area, rel=1e-9)
        assert shapely.symmetric_difference(shapely.union_all(shapes), land).area < 1e-9 * land.area


def test_administrative_cells_are_the_areas_and_the_regions(world, made):
    areas = world.areas
    assert made["area"].cells["area_ids"].map(lambda ids: ids[0]).tolist() == sorted(areas["area_id"])
    assert (made["area"].cells["area_ids"].str.len() == 1).all()
    key = areas["country"] + "/" + areas["region_id"].fillna("")
    wanted = sorted(areas.groupby(key)["area_id"].agg(lambda ids: tuple(sorted(ids))))
    assert sorted(map(tuple, made["region"].cells["area_ids"])) == wanted


def test_photos_of_a_k_means_cell_are_nearest_to_its_centroid(world, made):
    _, shaping, _ = made["kmeans"]
    each = np.sqrt(SETTINGS["min_photos"] * SETTINGS["max_photos"])
    for country, own in shaping.groupby("country"):
        areas = world.areas[world.areas["country"] == country]
        places = Country.of(areas, own)[0].places
        count = round(len(own) / each)
        centroids = lloyd(places, count)
        assert len(centroids) == pytest.approx(count, abs=max(1, 0.1 * count))
        on_land = own[~own["photo_id"].isin(world.points["photo_id"][world.off_coast])]
        distance_km = haversine_km(
            on_land[["latitude"]].to_numpy(), on_land[["longitude"]].to_numpy(), centroids.latitude, centroids.longitude
        )
        first, second = np.sort(distance_km, axis=1)[:, :2].T
        clear = second - first > 0.01
        pairs = np.unique(np.stack([distance_km.argmin(axis=1), on_land["cell_id"]], axis=1)[clear], axis=0)
        assert len(pairs) == len(set(pairs[:, 0])) == len(set(pairs[:, 1])) > 1  # one cell per centroid


def test_levels_nest_and_their_photos_sum(world, tmp_path):
    settings = SETTINGS | {"method": "hierarchy", "levels": [8, 3]}
    cells, _, _ = make_geocells(world.areas, world.points, settings)
    levels = hierarchy(cells, settings)
    tables.write(tmp_path / "levels.parquet", levels, "hierarchy")
    assert levels.groupby("level")["name"].first().tolist() == [
        "country", "8 times min_photos", "3 times min_photos", "cell",
    ]  # fmt: skip
    by_level = {level: own.set_index("node") for level, own in levels.groupby("level")}
    assert by_level[0]["parent"].isna().all() and len(by_level[0]) == cells["country"].nunique()
    for level in range(1, 4):
        nodes, above = by_level[level], by_level[level - 1]
        assert nodes.index.tolist() == list(range(len(nodes)))
        sums = nodes.groupby("parent")["photos"].sum().sort_index()
        assert (sums.to_numpy() == above["photos"].to_numpy()).all() and sums.index.tolist() == above.index.tolist()
    assert (by_level[3]["photos"].to_numpy() == cells["photos"].to_numpy()).all()
    node = by_level[3].index
    for level in (3, 2, 1):
        node = by_level[level]["parent"].loc[node]
        country = pd.Series(cells["country"].to_numpy()).groupby(node.to_numpy())
        assert (country.nunique() == 1).all()
        if level > 1:
            factor = {3: 3, 2: 8}[level]
            total = cells.groupby("country")["photos"].sum().reindex(country.first()).to_numpy()
            assert (by_level[level - 1]["photos"].to_numpy() >= np.minimum(factor * 20, total)).all()


@pytest.mark.parametrize("method", ["s2", "quadtree", "kmeans"])
def test_settings_are_found_for_a_wanted_number_of_cells(method, world):
    for wanted in (40, 110):
        settings = fit_settings(method, wanted, world.areas, world.points, SETTINGS)
        assert settings["method"] == method
        assert len(make_geocells(world.areas, world.points, settings).cells) == pytest.approx(wanted, rel=0.1)


def test_another_partition_at_equal_count_is_measured_on_the_same_photos(world):
    photos = world.points.assign(split="test")
    quality = at_equal_count("s2", 60, world.areas, world.points, photos, SETTINGS, 1)
    assert quality["cells"] == pytest.approx(60, rel=0.1) and quality["oracle.test.photos"] == len(photos)


@pytest.mark.parametrize("method", ["semantic", "kmeans", "admin", *LATTICES])
def test_one_photo_in_all_makes_one_cell_with_it(method, world):
    areas = world.areas[world.areas["country"] == "C0"]
    area = areas.iloc[[0]]
    middle = area.geometry.iloc[0].representative_point()
    point = photos_at([[middle.y, middle.x]], "C0", area["area_id"].iloc[0])
    cells, shaping, exceptions = make_geocells(area, point, SETTINGS | {"method": method})
    assert len(cells) == 1 and shaping["cell_id"].tolist() == [0] and cells["photos"].tolist() == [1]
    assert bool(exceptions) == (method == "semantic")
