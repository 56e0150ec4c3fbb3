"""Guarantees of a partition in random worlds: all land is in one cell, sizes are within limits, each cell is in one
piece, and neither the order of rows nor the number of workers changes the result."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from worlds import FRAMES, SETTINGS, hole_in, lattice, photos_at, random_world, table, within

from homing.errors import HomingError
from homing.geocells import partition
from homing.geocells.assign import assign
from homing.geocells.geometry.land import area_km2
from homing.geocells.methods.merge import merge_small
from homing.geocells.partition import make_geocells
from homing.geocells.quality import measure
from homing.geocells.shaping import shaping_points
from homing.labels.boundaries import polygons_of
from homing.sphere import EARTH_RADIUS_KM, haversine_km, pixel_area_km2, spherical_mean

LIMITS = [(20, 60, None), (30, 60, None), (40, 60, None), (5, 200, None), (20, 60, 150.0), (10, 15, 60.0)]


def settings_with(least, most, widest=None):
    return SETTINGS | {"min_photos": least, "max_photos": most, "max_radius_km": widest}


def oracle_km2(shape) -> float:
    """Area on the sphere by Gaussian quadrature of the sine of the latitude along each edge, straight in degrees."""
    knots, weights = np.polynomial.legendre.leggauss(8)
    total = 0.0
    for part in shapely.get_parts(shape):
        for number, ring in enumerate([part.exterior, *part.interiors]):
            corner = np.radians(shapely.get_coordinates(ring))
            step = np.diff(corner, axis=0)
            height = np.sin(corner[:-1, 1:] + step[:, 1:] * (knots + 1) / 2) - np.sin(corner[0, 1])
            area = abs(step[:, 0] @ height @ weights) / 2
            total += -area if number else area
    return total * EARTH_RADIUS_KM**2


def whole(shapes, across_180: bool):
    """The union of shapes; in a country across 180 degrees with its western part moved east by 360."""
    parts = shapely.get_parts(shapes)
    if across_180:
        west = shapely.bounds(parts)[:, 0] < 0
        parts[west] = shapely.transform(parts[west], lambda degrees: degrees + np.array([360.0, 0.0]))
    return shapely.union_all(parts)


def outside(cells, photos) -> np.ndarray:
    """The distance in degrees of each photo from its cell; 180 and -180 degrees are the same meridian."""
    shapes = cells.geometry.to_numpy()[photos["cell_id"]]
    turned = [shapely.points(photos["longitude"] + turn, photos["latitude"]) for turn in (0, -360, 360)]
    return np.min([shapely.distance(shapes, points) for points in turned], axis=0)


def check_land(world, cells):
    """All land of each country with photos is in exactly one valid cell, and the table has the areas of the cells."""
    with_photos = set(world.points["country"])
    assert set(cells["country"]) == with_photos
    assert cells.is_valid.all() and cells.geom_type.isin(["Polygon", "MultiPolygon"]).all()
    bounds = cells.bounds
    assert bounds.min().min() >= -180 and bounds[["minx", "maxx"]].max().max() <= 180
    for country, own in cells.groupby("country"):
        land = shapely.union_all(world.areas.geometry[world.areas["country"] == country].to_numpy())
        covered = shapely.union_all(own.geometry.to_numpy())
        each_km2 = np.array([oracle_km2(shape) for shape in own.geometry])
        assert shapely.symmetric_difference(land, covered).area < 1e-9 * land.area
        assert oracle_km2(covered) == pytest.approx(oracle_km2(land), rel=1e-9)
        assert each_km2.sum() == pytest.approx(oracle_km2(land), rel=1e-9)  # no overlaps
        assert own["area_km2"].to_numpy() == pytest.approx(each_km2, rel=1e-9, abs=1e-9 * each_km2.sum())


def check_pieces(world, cells, across_180, widest):
    """A cell has at most one piece in each piece of its areas' land.

    With a maximal radius cells of different areas are merged: those with an area of several pieces are left out.
    """
    area = world.areas.set_index("area_id").geometry
    for cell in cells.itertuples():
        several = (shapely.get_num_geometries(area[cell.area_ids].to_numpy()) > 1).any()
        if widest is not None and several:
            continue
        pieces = shapely.get_parts(whole(cell.geometry, across_180))
        lands = shapely.get_parts(whole(area[cell.area_ids].to_numpy(), across_180))
        shared = shapely.area(shapely.intersection(pieces[:, None], lands))
        assert shared.sum(axis=1) == pytest.approx(shapely.area(pieces), rel=1e-6, abs=1e-8)  # area_ids are all there
        assert len(set(shared.argmax(axis=1))) == len(pieces)


def check_levels(world, cells, shaping):
    """No cell has areas of another country, and its region is that of the area with most of its photos."""
    areas = world.areas.set_index("area_id")
    where = gpd.GeoDataFrame(shaping, geometry=gpd.points_from_xy(shaping["longitude"], shaping["latitude"]))
    for cell in cells.itertuples():
        own = areas.loc[cell.area_ids]
        assert len(own) and cell.area_ids == sorted(set(cell.area_ids)) and set(own["country"]) == {cell.country}
        inside = where.geometry[where["cell_id"] == cell.cell_id].to_numpy()
        held = shapely.intersects(own.geometry.to_numpy()[:, None], inside).sum(axis=1)
        alone = shapely.intersects(own.geometry.to_numpy()[:, None], inside).sum(axis=0)
        unclear = (alone != 1).sum()  # on borders or off the coast
        best = held >= held.max() - unclear
        regions = set(own["region"][best].fillna("").tolist())
        assert (cell.region if isinstance(cell.region, str) else "") in regions


def check_photos(world, cells, shaping):
    """Photos lie in their own cell; those off the coast are in the nearest one of their country, by brute force."""
    assert sorted(shaping["photo_id"]) == sorted(world.points["photo_id"])
    assert (cells["country"].to_numpy()[shaping["cell_id"]] == shaping["country"]).all()
    off_coast = shaping["photo_id"].isin(world.points["photo_id"][world.off_coast]).to_numpy()
    assert outside(cells, shaping[~off_coast]).max() < 1e-9
    step = 0.02
    coasts = shapely.get_coordinates(
        shapely.segmentize(shapely.boundary(cells.geometry.to_numpy()), step), return_index=True
    )
    for photo in shaping[off_coast].itertuples():
        own = cells["country"].to_numpy()[coasts[1]] == photo.country
        coast_km = haversine_km(photo.latitude, photo.longitude, *coasts[0][own].T[::-1])
        nearest_km = coast_km[coasts[1][own] == photo.cell_id].min()
        assert nearest_km <= coast_km.min() + step * 111.2 / 2


def check_sizes(world, made, least, most, widest):
    """Cells are within the limits, or are listed with a true reason."""
    cells, shaping, listed = made
    photos = np.bincount(shaping["cell_id"], minlength=len(cells))
    assert (photos == cells["photos"].to_numpy()).all() and photos.min() > 0
    centroid = [spherical_mean(own["latitude"], own["longitude"]) for _, own in shaping.groupby("cell_id")]
    distance_km = haversine_km(*np.array(centroid)[shaping["cell_id"]].T, shaping["latitude"], shaping["longitude"])
    reach_km = pd.Series(distance_km).groupby(shaping["cell_id"].to_numpy()).max().to_numpy()
    assert haversine_km(*np.array(centroid).T, cells["latitude"], cells["longitude"]).max() < 1e-6
    assert cells["radius_km"].to_numpy() == pytest.approx(reach_km, abs=1e-6)
    odd = (photos < least) | (photos > most) | (reach_km > (widest or np.inf))
    assert [entry["cell_id"] for entry in listed] == np.flatnonzero(odd).tolist()
    for entry in listed:
        check_reason(entry["reason"], entry["cell_id"], world, made, least, most, widest)


def check_reason(reason, cell_id, world, made, least, most, widest):
    cells, shaping, _ = made
    own = shaping[shaping["cell_id"] == cell_id]
    country = cells["country"][cell_id]
    if reason == "its country has fewer photos than min_photos":
        assert (shaping["country"] == country).sum() < least and (widest or cells["country"].eq(country).sum() == 1)
    elif reason == "with any neighbour it would be wider than max_radius_km or have more than max_photos":
        assert len(own) < least
        others = cells[(cells["country"] == country) & (cells["cell_id"] != cell_id)]
        border = shapely.intersection(others.geometry.to_numpy(), cells.geometry[cell_id])
        for other in others["cell_id"][shapely.length(border) > 1e-6]:
            both = shaping[shaping["cell_id"].isin([cell_id, other])]
            assert len(both) > most or radius_km(both) > widest * 0.99 or near_coast(world, both)
    elif reason == "no number of cells of min_photos to max_photos makes up its photos":
        assert not any(cells_ * least <= len(own) <= cells_ * most for cells_ in range(1, len(own) + 1))
    elif reason.startswith("one place holds"):
        at_one_place = own.groupby(["latitude", "longitude"]).size().max()
        off_coast = own["photo_id"].isin(world.points["photo_id"][world.off_coast]).sum()
        assert f"{at_one_place} photos" in reason or off_coast
        assert at_one_place + off_coast > most or len(own) - at_one_place - off_coast < least
    elif reason == "its photos off the coast are farther apart than their places on it":
        assert near_coast(world, own)
    else:
        assert reason == "no cut leaves min_photos on both sides, each in one piece", reason
        assert 2 * least > most * 1.2 and len(own) < 2 * most  # only between narrow limits


def radius_km(photos) -> float:
    centroid = spherical_mean(photos["latitude"], photos["longitude"])
    return haversine_km(*centroid, photos["latitude"], photos["longitude"]).max()


def near_coast(world, photos) -> bool:
    return photos["photo_id"].isin(world.points["photo_id"][world.off_coast]).any()


@pytest.mark.parametrize("frame", FRAMES)
@settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])  # a seed has no simpler one
@given(seed=st.integers(0, 10_000), limits=st.sampled_from(LIMITS))
def test_guarantees_hold_in_random_worlds(frame, seed, limits):
    world = random_world(frame, seed, photos=600)
    made = make_geocells(world.areas, world.points, settings_with(*limits))
    check_land(world, made.cells)
    check_pieces(world, made.cells, "180" in frame, limits[2])
    check_levels(world, made.cells, made.shaping)
    check_photos(world, made.cells, made.shaping)
    check_sizes(world, made, *limits)
    assert (assign(made.cells, made.shaping, made.shaping, within_countries=True) == made.shaping["cell_id"]).all()


def same(one, other):
    pd.testing.assert_frame_equal(pd.DataFrame(one.cells), pd.DataFrame(other.cells))
    assert (shapely.to_wkb(one.cells.geometry.to_numpy()) == shapely.to_wkb(other.cells.geometry.to_numpy())).all()
    pd.testing.assert_frame_equal(one.shaping, other.shaping)
    assert one.exceptions == other.exceptions


def test_neither_the_order_of_rows_nor_the_number_of_workers_changes_anything(monkeypatch):
    areas, points, _ = random_world("across 180", 5, photos=500)
    limits = settings_with(*LIMITS[4])
    made = make_geocells(areas, points, limits)
    assert made.exceptions
    shuffled = areas.sample(frac=1, random_state=1), points.sample(frac=1, random_state=2)
    again = make_geocells(*shuffled, limits)
    again.shaping.index = made.shaping.index
    same(made, again)
    monkeypatch.setattr(partition, "CLUSTER_FROM", 10)
    same(made, make_geocells(*shuffled, limits, workers=2))


@pytest.mark.parametrize("seed", range(3))
def test_where_a_cut_exists_all_sizes_are_within_the_limits(seed):
    """In a convex area, with photos at distinct places, any cell of at least twice the minimum can be cut."""
    rng = np.random.default_rng(seed)
    area = shapely.Point(10, 45).buffer(3)
    places = np.concatenate([[within(rng, area) for _ in range(300)], rng.normal([45, 10], 0.05, (400, 2))])
    areas = table([("A.1", "a", "A", "r", "AAA", "AAA", area)])
    for least, most in ((20, 40), (30, 60), (50, 110)):
        cells, _, exceptions = make_geocells(areas, photos_at(places, "AAA", "A.1"), settings_with(least, most))
        assert not exceptions and cells["photos"].between(least, most).all()


def test_a_maximal_radius_is_kept_even_below_the_minimum():
    """The radius is kept even if cells then have too few photos."""
    rng = np.random.default_rng(3)
    areas = table(
        [(f"A.{n}", "a", "A", "r", "AAA", "AAA", shape) for n, shape in enumerate(lattice(rng, 0, 40, 3, 2, 4, 4))]
    )
    land = shapely.union_all(areas.geometry.to_numpy())
    points = photos_at([within(rng, land) for _ in range(120)], "AAA")
    cells, _, exceptions = make_geocells(areas, points, settings_with(20, 60, 80.0))
    assert cells["radius_km"].max() <= 80 and cells["photos"].min() < 20 and exceptions
    assert len(cells) < 80  # cells that may be merged are


def squares(code, west, south, columns, rows):
    places = [(c, r) for c in range(columns) for r in range(rows)]
    boxes = {(c, r): shapely.box(west + c, south + r, west + c + 1, south + r + 1) for c, r in places}
    return [(f"{code}.{c}.{r}", "a", f"{code}.{c // 2}", "r", code, code, box) for (c, r), box in boxes.items()]


def test_exceptions_have_true_reasons():
    """130 photos at one place, and a country of 7."""
    rng = np.random.default_rng(0)
    areas = table([*squares("BBB", 6, 40, 6, 5), *squares("CCC", 40, 10, 2, 2), *squares("DDD", 60, 10, 2, 2)])
    crowd, few = rng.uniform([40, 6], [45, 12], (300, 2)), rng.uniform([10, 40], [12, 42], (7, 2))
    places = np.concatenate([crowd, np.tile([42.25, 8.5], (130, 1)), few])
    points = photos_at(places, ["BBB"] * 430 + ["CCC"] * 7)
    cells, _, exceptions = make_geocells(areas, points, settings_with(20, 60))
    assert set(cells["country"]) == {"BBB", "CCC"}
    assert {entry["country"]: entry["reason"] for entry in exceptions} == {
        "BBB": "one place holds 130 photos", "CCC": "its country has fewer photos than min_photos",
    }  # fmt: skip
    assert len(exceptions) == 2 and cells["photos"][exceptions[0]["cell_id"]] < 130 + 2 * 20


ONE_AREA = table([("A.1", "a", "A", "r", "AAA", "AAA", shapely.box(0, 40, 2, 42))])


@pytest.mark.parametrize("count", [1, 19, 61, 500])
def test_photos_at_one_point_are_one_cell(count):
    cells, shaping, exceptions = make_geocells(
        ONE_AREA, photos_at(np.tile([41.0, 1.0], (count, 1)), "AAA"), settings_with(20, 60)
    )
    assert cells["photos"].tolist() == [count] and (shaping["cell_id"] == 0).all() and len(exceptions) == 1
    assert shapely.equals(cells.geometry[0], ONE_AREA.geometry[0]) and cells["radius_km"][0] < 1e-6


@pytest.mark.parametrize("step", [(0, 0.01), (0.01, 0), (0.01, 0.01), (1e-7, 0)], ids=str)
def test_photos_on_one_line_are_divided(step):
    """On a parallel, a meridian, a diagonal, and a centimetre apart."""
    places = np.array([40.5, 0.5]) + np.arange(120)[:, None] * step
    cells, shaping, exceptions = make_geocells(ONE_AREA, photos_at(places, "AAA"), settings_with(20, 50))
    assert not exceptions and len(cells) >= 3
    assert outside(cells, shaping).max() < 1e-9
    assert oracle_km2(shapely.union_all(cells.geometry.to_numpy())) == pytest.approx(oracle_km2(ONE_AREA.geometry[0]))


def test_areas_that_touch_at_a_point_enclaves_in_enclaves_and_repaired_bow_ties():
    rng = np.random.default_rng(4)
    nest = [shapely.Point(5, 5).buffer(radius) for radius in (2, 1.2, 0.5)]
    bow_tie = polygons_of(shapely.make_valid(shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])))
    rows = [
        ("A.1", nest[0] - nest[1]), ("B.1", nest[1] - nest[2]), ("A.2", nest[2]), ("A.3", bow_tie),
        ("A.4", shapely.box(2, 2, 4, 3)), ("A.5", shapely.box(-1, -1, 0, 0)),
    ]  # fmt: skip
    areas = table([(name, "a", None, None, name[0], name[0], shape) for name, shape in rows])
    places, owner = [], []
    for name, shape in rows:
        places += [within(rng, shape) for _ in range(70 if name != "A.5" else 5)]
        owner += [name[0]] * (70 if name != "A.5" else 5)
    points = photos_at(places, owner)
    world = random_world("equator", 0, photos=20)._replace(
        areas=areas, points=points, off_coast=np.zeros(len(points), bool)
    )
    made = make_geocells(areas, points, settings_with(20, 50))
    check_land(world, made.cells)
    check_pieces(world, made.cells, False, None)
    check_photos(world, made.cells, made.shaping)
    check_sizes(world, made, 20, 50, None)


def test_a_cell_joins_both_sides_of_the_antimeridian():
    areas = table(
        [
            ("F.1", "east", "F", "region", "FFF", "FFF", shapely.box(178, 0, 180, 2)),
            ("F.2", "west", "F", "region", "FFF", "FFF", shapely.box(-180, 0, -178, 2)),
        ]
    )
    rng = np.random.default_rng(8)
    places = np.concatenate([rng.uniform([0, 178], [2, 180], (14, 2)), rng.uniform([0, -180], [2, -178], (14, 2))])
    cells, _, exceptions = make_geocells(areas, photos_at(places, "FFF"), settings_with(20, 60))
    assert len(cells) == 1 and not exceptions
    assert sorted(cells["area_ids"][0]) == ["F.1", "F.2"]
    assert abs(cells["longitude"][0]) > 179 and cells["radius_km"][0] < 320
    assert area_km2(cells.geometry[0]) == pytest.approx(sum(map(area_km2, areas.geometry)), rel=1e-12)


def test_overlapping_areas_share_the_land_and_the_first_has_what_both_claim():
    rng = np.random.default_rng(5)
    shapes = [shapely.box(n * 0.9, 0, n * 0.9 + 1, 1 + n / 7) for n in range(4)]
    areas = table([(f"O.{n}", f"o{n}", "O", "region", "OOO", "OOO", shape) for n, shape in enumerate(shapes)])
    points = photos_at(rng.uniform([0, 0], [1, 3.7], (160, 2)), "OOO")
    cells, shaping, _ = make_geocells(areas, points, settings_with(20, 60))
    assert sum(map(area_km2, cells.geometry)) == pytest.approx(area_km2(shapely.union_all(shapes)), rel=1e-9)
    assert outside(cells, shaping).max() < 1e-9
    common = shapely.box(0.9, 0, 1, 1)  # of the first two
    first = cells["area_ids"].map(lambda ids: "O.0" in ids)
    assert shapely.area(
        shapely.intersection(shapely.union_all(cells.geometry[first].to_numpy()), common)
    ) == pytest.approx(0.1)


def test_a_photo_far_from_all_land_of_its_country_is_an_error():
    with pytest.raises(
        HomingError, match=r"photo at -40.0, 100.0 has country AAA.*more than 1000 km.*label the photos"
    ):
        make_geocells(ONE_AREA, photos_at([[41, 1], [-40, 100]], "AAA"), SETTINGS)


def test_no_photo_in_any_area_is_an_error():
    with pytest.raises(HomingError, match="no training photo lies in any administrative area"):
        make_geocells(ONE_AREA, photos_at([[41, 1]], "nowhere"), SETTINGS)


def test_other_photos_get_the_cell_that_contains_them_or_the_nearest():
    world = random_world("across 180", 7, photos=500)
    cells, shaping, _ = make_geocells(world.areas, world.points, SETTINGS)
    rng = np.random.default_rng(3)
    chosen = rng.choice(np.flatnonzero(world.areas["country"].isin(cells["country"])), 200)
    photos = photos_at(
        [within(rng, world.areas.geometry[n]) for n in chosen], world.areas["country"].to_numpy()[chosen]
    )
    photos["cell_id"] = assign(cells, shaping, photos, within_countries=True)
    assert outside(cells, photos).max() < 1e-9
    assert (cells["country"].to_numpy()[photos["cell_id"]] == photos["country"]).all()
    nowhere = photos_at(rng.uniform([-60, -180], [60, 180], (30, 2)), None)
    nearest = haversine_km(
        nowhere[["latitude"]].to_numpy(),
        nowhere[["longitude"]].to_numpy(),
        shaping["latitude"].to_numpy(),
        shaping["longitude"].to_numpy(),
    ).argmin(axis=1)
    assert (assign(cells, shaping, nowhere, True) == shaping["cell_id"].to_numpy()[nearest]).all()


def boxes_of_two_countries():
    """Three cells of A side by side and one of B; shaping photos are where they mislead: far from their own coast."""
    shapes = [shapely.box(0, 0, 2, 2), shapely.box(2, 0, 4, 2), shapely.box(4, 0, 6, 2), shapely.box(1, 3, 3, 5)]
    cells = gpd.GeoDataFrame({"cell_id": [4, 7, 2, 5], "country": list("AAAB")}, geometry=shapes, crs="EPSG:4326")
    places = [(1.0, 0.01), (1.99, 3.99), (0.01, 2.01), (1.0, 5.99), (4.99, 2.0)]  # in cells 4, 7, 7, 2 and 5
    return cells, photos_at(places, list("AAAAB")).assign(cell_id=[4, 7, 7, 2, 5])


def distances_to_cells_km(cells, photo) -> np.ndarray:
    """Distance to each cell by brute force: to the vertices of its border cut into pieces of 0.01 degrees."""
    borders = [shapely.get_coordinates(shapely.segmentize(shape.exterior, 0.01)) for shape in cells.geometry]
    return np.array([haversine_km(photo.latitude, photo.longitude, *border.T[::-1]).min() for border in borders])


def test_a_photo_off_the_coast_has_the_nearest_cell_of_its_country():
    """Not the cell of the nearest shaping photo, nor one of another country, however near; checked by brute force."""
    cells, shaping = boxes_of_two_countries()
    rng = np.random.default_rng(9)
    places = rng.uniform([-4, -4], [9, 10], (600, 2))
    land = shapely.union_all(cells.geometry.to_numpy())
    sea = photos_at(places[~shapely.intersects_xy(land, places[:, 1], places[:, 0])], "A")
    found = assign(cells, shaping, sea, within_countries=True)
    own = (cells["country"] == "A").to_numpy()
    checked, misleading = 0, 0
    for photo, cell_id in zip(sea.itertuples(), found, strict=True):
        distance_km = distances_to_cells_km(cells, photo)
        first, second = np.sort(distance_km[own])[:2]
        if second - first > 1:  # else two cells are equally far
            checked += 1
            assert cell_id == cells["cell_id"].to_numpy()[own][distance_km[own].argmin()]
            photo_km = haversine_km(photo.latitude, photo.longitude, shaping["latitude"], shaping["longitude"])
            misleading += shaping["cell_id"][photo_km.argmin()] != cell_id or distance_km[~own].min() < first
    assert checked > 250 and misleading > 100


def test_a_photo_far_from_its_country_has_the_cell_of_the_nearest_shaping_photo():
    """The limit is 1000 km from the coast; a degree of the equator is 111.195 km."""
    cells, shaping = boxes_of_two_countries()
    degrees = np.array([8.99, 9.0])  # 999.6 and 1000.8 km
    south, east = photos_at(np.column_stack([-degrees, [5.0, 5.0]]), "A"), photos_at([[0, 15.0]], "B")
    assert assign(cells, shaping, south, within_countries=True).tolist() == [2, 7]
    assert assign(cells, shaping, east, within_countries=True).tolist() == [2]
    assert assign(cells, shaping, photos_at([[-0.2, 1.9]], "A"), within_countries=False).tolist() == [7]


def test_the_quality_figures_are_true():
    world = random_world("temperate", 2, photos=500)
    points = world.points[world.points["country"] != "C2"]
    cells, shaping, exceptions = make_geocells(world.areas, points, SETTINGS)
    quality = measure(world.areas, cells, exceptions, shaping.assign(split="train"), shaping, SETTINGS)
    assert quality["area_lost_share"] < 1e-9 and quality["countries_without_photos"] == ["C2"]
    assert quality["oracle.train.photos"] == len(points) and quality["photos_per_cell.max"] == cells["photos"].max()


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


def test_areas_on_the_sphere():
    assert area_km2(shapely.box(10, 20, 12, 21)) == pytest.approx(float(pixel_area_km2(20, 21, 2)), rel=1e-12)
    jagged = lattice(np.random.default_rng(1), 170, 80, 3, 2, 2, 3)
    for shape in [*jagged, jagged[0] - hole_in(np.random.default_rng(2), jagged[0], 0.2)]:
        assert area_km2(shape) == pytest.approx(oracle_km2(shape), rel=1e-11)
