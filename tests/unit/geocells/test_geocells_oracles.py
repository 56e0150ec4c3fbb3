"""Steps of the partitions against loops that share no code with them, and exactly on their limits."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from worlds import SETTINGS, photos_at, table

from homing.geocells.assign import assign
from homing.geocells.geometry.places import Places
from homing.geocells.hierarchy import hierarchy
from homing.geocells.methods import cuts, semantic
from homing.geocells.methods.country import Cells, Country
from homing.geocells.methods.cuts import cut_around_fullest, great_circle_cuts, grow_clusters
from homing.geocells.methods.divide import Limits, divide
from homing.geocells.methods.kmeans import centroid_count, kmeans_cells, lloyd
from homing.geocells.methods.lattices import fitting_resolution, grid_number, interleaved, split_crowded
from homing.geocells.methods.merge import merge_small
from homing.geocells.methods.semantic import exceptions
from homing.geocells.partition import make_geocells
from homing.geocells.quality import entropy, errors, held_out, spread

EARTH_KM = 6371.0088
DEGREE_KM = EARTH_KM * np.pi / 180


def vectors_of(latitude, longitude) -> np.ndarray:
    north, east = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)


def km(one, other):
    """Distances of unit vectors."""
    return EARTH_KM * np.arctan2(np.linalg.norm(np.cross(one, other), axis=-1), (one * other).sum(axis=-1))


def places_of(rows) -> Places:
    """Places from (latitude, longitude, photos)."""
    rows = np.array(rows, dtype=float)
    return Places(rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int64), vectors_of(rows[:, 0], rows[:, 1]))


@pytest.fixture
def scattered() -> Places:
    rng = np.random.default_rng(1)
    return places_of(np.stack([rng.uniform(40, 50, 80), rng.uniform(0, 30, 80), rng.integers(1, 9, 80)], axis=1))


# Places


def test_places_count_their_photos_and_the_radius_is_that_of_a_loop():
    rng = np.random.default_rng(2)
    latitude, longitude = rng.integers(40, 44, 200).astype(float), rng.integers(178, 182, 200).astype(float)
    places, number = Places.of(latitude, longitude)
    assert len(places) == len(set(zip(latitude, longitude, strict=True))) and places.photos.sum() == 200
    np.testing.assert_array_equal(places.latitude[number], latitude)
    np.testing.assert_array_equal(places.longitude[number], longitude)
    np.testing.assert_array_equal(np.bincount(number), places.photos)
    np.testing.assert_allclose(places.vectors, vectors_of(places.latitude, places.longitude), atol=1e-12)
    group = np.arange(len(places)) % 3
    group[group == 2] = 3  # none has number 2
    found = places.radii_km(group, 5)
    for one in (0, 1, 3):
        own = places[np.flatnonzero(group == one)]
        photos = np.repeat(own.vectors, own.photos, axis=0)
        mean = photos.mean(axis=0) / np.linalg.norm(photos.mean(axis=0))
        assert found[one] == pytest.approx(km(mean, own.vectors).max(), rel=1e-9)
        assert own.radius_km() == pytest.approx(found[one], rel=1e-9)
    assert found[2] == found[4] == 0


def test_places_all_around_the_globe_reach_half_way_round_it():
    assert places_of([(0, 0, 1), (0, 180, 1)]).radius_km() == pytest.approx(np.pi * EARTH_KM)
    assert places_of([(0, 0, 2), (0, 180, 1)]).radius_km() == pytest.approx(np.pi * EARTH_KM)


# Cuts


@pytest.fixture
def labels_of_borders(monkeypatch):
    """Borders are not drawn: what is yielded are the labels on both sides."""
    monkeypatch.setattr(cuts, "label_borders", lambda vectors, labels, reach: labels)


@pytest.mark.parametrize(
    ("photos", "enough", "expected"),
    [
        ([2, 9, 3, 1, 8], 9, [0, 1, 0, 0, 0]),  # the fullest has as many as are needed
        ([2, 9, 3, 1, 8], 10, [0, 1, 1, 0, 0]),  # with the next one, which is the third
        ([2, 9, 3, 1, 8], 11, [0, 1, 1, 0, 0]),  # 12 within, 11 are left
        ([2, 9, 3, 1, 8], 12, None),  # 12 within, 11 are left
        ([1, 9], 3, None),
    ],
)
def test_around_the_fullest_place_are_as_few_as_make_a_cell(labels_of_borders, photos, enough, expected):
    longitude = [0.0, 10, 12, 20, 30][: len(photos)]
    places = places_of([(0, east, count) for east, count in zip(longitude, photos, strict=True)])
    found = list(cut_around_fullest(places, enough, 1.0))
    assert [labels.tolist() for labels in found] == ([] if expected is None else [expected])


def test_clusters_with_enough_photos_are_kept_and_the_others_join_the_nearest_or_one_more_group():
    places = places_of([(0, 0, 5), (0, 1, 5), (0, 10, 10), (0, 4, 2), (0, 7, 3), (0, 20, 4)])
    clusters = np.array([0, 0, 1, -1, -1, 2])
    assert grow_clusters(places, clusters, 10).tolist() == [0, 0, 1, 0, 1, 1]  # 9 are left
    assert grow_clusters(places, clusters, 9).tolist() == [0, 0, 1, 2, 2, 2]
    assert grow_clusters(places, clusters, 11) is None
    one = np.array([0, 0, -1, -1, -1, -1])
    assert grow_clusters(places, one, 10).tolist() == [0, 0, 1, 1, 1, 1]  # 19 are left
    assert grow_clusters(places[:4], one[:4], 11) is None  # no cluster is left
    assert grow_clusters(places[np.array([0, 1, 3])], np.array([0, 0, -1]), 10) is None  # one cluster alone


def test_great_circles_leave_enough_on_both_sides_and_halve_the_photos_across_the_longest_axis(scattered):
    """Sides by the plane of each circle, which has the same gap to the nearest place on either."""
    total, enough = scattered.photos.sum(), 40
    found = list(great_circle_cuts(scattered, enough, 0.5))
    assert len(found) == 24
    for number, arcs in enumerate(found):
        normal = np.cross(arcs.start[0], arcs.end[0])
        normal /= np.linalg.norm(normal)
        np.testing.assert_allclose(arcs.end @ normal, 0, atol=1e-12)
        height = np.arcsin(scattered.vectors @ normal)
        sides = scattered.photos[height > 0].sum(), scattered.photos[height < 0].sum()
        assert sum(sides) == total and min(sides) >= enough
        assert height[height > 0].min() == pytest.approx(-height[height < 0].max(), rel=0.1)
        share = (1 / 2, 1 / 3, 2 / 3)[number // 8]
        assert min(abs(side / total - share) for side in sides) < 9 / total
    first = np.cross(found[0].start[0], found[0].end[0])
    assert abs(first @ [0, 0, 1]) / np.linalg.norm(first) < 0.35  # 30 degrees wide, 10 high: cut from north to south


@pytest.mark.parametrize(("enough", "cuts_found"), [(3, True), (4, False)])
def test_a_cut_needs_exactly_the_photos_that_are_there(enough, cuts_found):
    places = places_of([(10, 0, 3), (10, 1, 3)])
    assert bool(list(great_circle_cuts(places, enough, 0.1))) is cuts_found


def test_no_circle_is_drawn_between_places_at_one_spot():
    places = places_of([(10, 0, 5), (10, 1e-9, 5)])
    assert list(great_circle_cuts(places, 1, 0.1)) == []


def test_a_circle_is_as_long_as_the_land_reaches():
    places = places_of([(0, 0, 5), (0, 4, 5)])
    for reach, arcs, longest in ((0.3, 2, 0.3), (0.9, 4, np.pi / 4)):
        (cut, *_) = great_circle_cuts(places, 5, reach)
        assert len(cut) == 2 * arcs and cut.angle == pytest.approx(longest)
        ends = cut.end[arcs:]
        assert np.abs(ends[:2] @ [0, 0, 1]) == pytest.approx(np.sin(min(2 * reach, np.pi / 2)), abs=1e-9)


# Limits of a cell


def limits(least=10, most=30, widest=None) -> Limits:
    return Limits(least, most, widest, [(4, 0.05)])


def test_a_cell_at_its_limits_is_not_divided():
    one = places_of([(0, 0, 15), (0, 1, 15)])
    more = places_of([(0, 0, 15), (0, 1, 16)])
    assert limits().min_photos_of_parts(one) == () and limits().min_photos_of_parts(more) == (10,)
    radius = one.radius_km()
    assert not limits(widest=radius).is_too_wide(one)
    assert limits(widest=np.nextafter(radius, 0)).is_too_wide(one)
    assert limits(widest=np.nextafter(radius, 0)).min_photos_of_parts(one) == (10, 1)
    assert not limits(widest=0.0).is_too_wide(one[:1])


def test_twice_the_minimum_is_divided_and_one_photo_less_is_not():
    land = shapely.box(-1, -1, 3, 1)
    for photos, parts in (([10, 10], 2), ([10, 9], 1)):
        places = places_of([(0, 0, photos[0]), (0, 2, photos[1])])
        found = divide(land, places, limits(least=10, most=18))
        assert len(found) == parts
        assert sum(shapely.area(part.land) for part in found) == pytest.approx(8)


SPARSE = "with any neighbour it would be wider than max_radius_km or have more than max_photos"


@pytest.mark.parametrize(
    ("photos", "heaviest", "radius", "on_land", "reason"),
    [
        (20, 20, 100, 100, None),
        (60, 20, 100, 100, None),
        (19, 1, 0, 0, SPARSE),
        (61, 1, 0, 0, "no cut leaves min_photos on both sides, each in one piece"),
        (61, 61, 0, 0, "one place holds 61 photos"),
        (75, 60, 0, 0, "one place holds 60 photos"),
        (80, 60, 0, 0, "no cut leaves min_photos on both sides, each in one piece"),
        (60, 1, 100.1, 100.1, "no cut makes it narrower than max_radius_km"),
        (60, 1, 100.1, 100, "its photos off the coast are farther apart than their places on it"),
    ],
)
def test_reasons_are_given_beyond_the_limits_and_not_on_them(photos, heaviest, radius, on_land, reason):
    settings = {"min_photos": 20, "max_photos": 60, "max_radius_km": 100}
    rows = (np.array([value, beside]) for value, beside in
            ((photos, 30), (heaviest, 1), (radius, 1.0), (on_land, 1.0)))  # fmt: skip
    assert exceptions(*rows, settings) == [reason, None]


def test_reasons_that_lie_in_the_numbers():
    def reason(photos, least, most):
        settings = {"min_photos": least, "max_photos": most, "max_radius_km": None}
        return exceptions(np.array(photos), np.ones(len(photos), int), np.zeros(len(photos)), np.zeros(len(photos)),
                          settings)  # fmt: skip

    none = "no number of cells of min_photos to max_photos makes up its photos"
    cut = "no cut leaves min_photos on both sides, each in one piece"
    assert reason([79], 40, 60) == [none] and reason([80], 40, 60) == [cut]
    assert reason([119], 40, 59) == [none] and reason([120], 40, 60) == [cut]
    small = "its country has fewer photos than min_photos"
    assert reason([10, 9], 20, 60) == [small] * 2 and reason([10, 10], 20, 60) == [SPARSE] * 2


@pytest.mark.parametrize(("most", "joined"), [(60, 1), (59, 2)])
def test_cells_that_are_joined_hold_no_more_than_the_maximum(most, joined):
    """After cuts for the radius: cells of 41 and 19 photos, of which the second has one too few."""
    shapes = [shapely.box(0, 40, 1, 41), shapely.box(1, 40, 2, 41)]
    areas = table([(f"A.{row}", "a", "A", "r", "AAA", "AAA", shape) for row, shape in enumerate(shapes)])
    places = np.concatenate([np.linspace([40.1, 0.1], [40.9, 0.9], 41), np.linspace([40.1, 1.1], [40.9, 1.9], 19)])
    country, _ = Country.of(areas, photos_at(places, "AAA"))
    cells = Cells(country.geometry, country.area, [np.array([0]), np.array([1])])
    found = semantic._merge_small_cells(cells, country, limits(20, most, 500.0))
    assert len(found.land) == joined and len(found.areas) == joined
    assert sorted(row for rows in found.areas for row in rows) == [0, 1]
    assert shapely.area(found.land).sum() == pytest.approx(2)
    np.testing.assert_array_equal(found.cell, 0 if joined == 1 else country.area)
    narrow = semantic._merge_small_cells(cells, country, limits(20, most, 80.0))
    assert len(narrow.land) == 2  # together they reach 90 km


# Merging


def boxes(*bounds) -> np.ndarray:
    return np.array([shapely.box(*one) for one in bounds])


ROW = boxes(*[(east, 0, east + 1, 1) for east in range(5)])


def test_areas_with_exactly_enough_photos_stay_alone():
    assert merge_small(ROW, ["r"] * 5, np.array([20] * 5), 20, 60) == [[0], [1], [2], [3], [4]]
    assert merge_small(ROW[:2], ["r"] * 2, np.array([19, 20]), 20, 60) == [[0, 1]]


def test_the_smallest_is_merged_first_and_stays_within_the_maximum_where_it_can():
    assert merge_small(ROW[:3], ["r"] * 3, np.array([41, 19, 42]), 20, 60) == [[0, 1], [2]]
    assert merge_small(ROW[:3], ["r"] * 3, np.array([42, 19, 41]), 20, 60) == [[0], [1, 2]]  # 60 is still within
    assert merge_small(ROW[:3], ["r"] * 3, np.array([55, 19, 55]), 20, 60) == [[0, 1], [2]]  # of equals the first
    assert merge_small(ROW, ["r"] * 5, np.array([30, 12, 9, 12, 30]), 20, 60) == [[0], [1, 2, 3], [4]]


def test_the_longest_border_decides_and_borders_add_up():
    shapes = boxes((0, 0, 1, 3), (1, 0, 2, 1), (1, 1, 2, 3), (2, 0, 3, 3))
    shapes[0] = shapely.Polygon([(0, 0), (1, 0), (1, 1), (1, 3), (0, 3)])
    shapes[3] = shapely.Polygon([(2, 0), (3, 0), (3, 3), (2, 3), (2, 1)])
    assert merge_small(shapes, ["r"] * 4, np.array([5, 90, 90, 90]), 20, 200) == [[0, 2], [1], [3]]
    # 0 joins 2 (2 degrees against 1), so that 1 has 2 degrees in common with them and one with 3
    assert merge_small(shapes, ["r"] * 4, np.array([5, 6, 90, 90]), 20, 200) == [[0, 1, 2], [3]]


def test_the_own_region_comes_before_size_and_border_and_the_larger_part_names_the_region():
    assert merge_small(ROW[:3], ["a", "b", "b"], np.array([30, 5, 100]), 20, 60) == [[0], [1, 2]]
    # 2 (b) joins 1 (a), which has more photos: together they are of region a, and join 0
    regions = ["a", "a", "b", "b", "b"]
    assert merge_small(ROW[:3], ["a", "a", "c"], np.array([30, 12, 7]), 25, 99) == [[0, 1, 2]]
    assert merge_small(ROW, regions, np.array([50, 4, 50, 3, 50]), 20, 99) == [[0, 1], [2, 3], [4]]
    # the one that is merged brings its region where it has more photos: 1 joins 2, then both go to 0
    shapes = ROW[:4]
    assert merge_small(shapes, ["x", "x", "y", "y"], np.array([40, 6, 5, 40]), 20, 99) == [[0, 1], [2, 3]]


def test_an_island_goes_to_the_nearest_and_groups_too_wide_together_stay_apart():
    shapes = boxes((0, 0, 1, 1), (10, 0, 11, 1), (14, 0, 15, 1))
    assert merge_small(shapes, ["r"] * 3, np.array([50, 5, 50]), 20, 99) == [[0], [1, 2]]
    asked = []

    def too_wide(areas):
        asked.append(sorted(areas))
        return True

    assert merge_small(shapes, ["r"] * 3, np.array([50, 5, 50]), 20, 99, too_wide) == [[0], [1], [2]]
    assert asked == [[1, 2], [0, 1]]
    assert merge_small(shapes, ["r"] * 3, np.array([50, 0, 50]), 20, 99, too_wide) == [[0], [1, 2]]  # empty


def test_groups_that_prefer_small_ones_join_each_other():
    photos = np.array([60, 11, 60, 60, 12])
    assert merge_small(ROW[:3], ["r"] * 3, np.array([11, 12, 60]), 20, 99, prefer_small=True) == [[0, 1], [2]]
    shapes = boxes((0, 0, 1, 1), (1, 0, 2, 1), (1, 1, 2, 2))
    shapes[1] = shapely.Polygon([(1, 0), (2, 0), (2, 1), (1, 1)])
    assert merge_small(shapes, ["r"] * 3, np.array([60, 11, 12]), 20, 99, prefer_small=True) == [[0], [1, 2]]
    assert len(merge_small(ROW, ["r"] * 5, photos, 20, 99, prefer_small=True)) == 3


# k-means


def test_as_many_centroids_as_cells_of_the_wanted_size():
    assert [centroid_count(photos, 40.0) for photos in (0, 10, 59, 61, 99, 101, 400)] == [1, 1, 1, 2, 2, 3, 10]


def test_centroids_are_the_means_of_the_photos_nearest_to_them(scattered):
    found = lloyd(scattered, 6)
    assert 2 <= len(found) <= 6
    nearest = np.array([km(found.vectors, place).argmin() for place in scattered.vectors])
    for number in range(len(found)):
        own = scattered[np.flatnonzero(nearest == number)]
        mean = own.photos @ own.vectors
        assert km(mean / np.linalg.norm(mean), found.vectors[number]) < 1e-3
    assert len(lloyd(places_of([(0, 0, 3), (0, 0.5, 4)]), 2)) == 2


def test_centroids_begin_evenly_over_the_photos():
    """Of towns far apart with equally many photos each gets one, however unevenly its places are spread."""
    rng = np.random.default_rng(3)
    towns = [(60, -120), (60, 120), (-60, -120), (-60, 120), (0, 0)]
    rows = [(*(np.array(town) + rng.normal(0, 0.1, 2)), 60 // (count + 1)) for count, town in enumerate(towns)
            for _ in range(count + 1)]  # fmt: skip
    found = lloyd(places_of(rows), 5)
    assert len(found) == 5 and (km(vectors_of(*np.array(towns).T)[:, None], found.vectors).min(axis=1) < 60).all()


def test_the_number_of_k_means_cells_lies_between_the_limits():
    rng = np.random.default_rng(6)
    areas = table([("A.1", "a", "A", "r", "AAA", "AAA", shapely.box(0, 40, 4, 44))])
    points = photos_at(rng.uniform([40, 0], [44, 4], (800, 2)), "AAA", "A.1")
    country, _ = Country.of(areas, points)
    cells = kmeans_cells(country, SETTINGS | {"min_photos": 20, "max_photos": 80})
    assert len(cells.land) == 800 / 40
    middle = lloyd(country.places, 20).vectors
    nearest = np.array([km(middle, place).argmin() for place in country.places.vectors])
    assert len({*zip(nearest.tolist(), cells.cell.tolist(), strict=True)}) == 20


# Lattices


def test_a_border_of_the_quadtree_belongs_to_the_box_after_it_and_the_last_to_the_last():
    assert grid_number(np.array([0, 0.249, 0.25, 0.5, 0.999, 1.0]), 2).tolist() == [0, 0, 1, 2, 3, 3]
    assert interleaved(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 3]), 2).tolist() == [0, 1, 2, 3, 13]


def test_a_box_with_exactly_the_maximum_is_not_split():
    code = np.array([0b0000, 0b0001, 0b0110, 0b0111, 0b0111, 0b1100])
    first, level, cell = split_crowded(code, 2, 5)
    assert level.tolist() == [1, 1, 1] and cell.tolist() == [0, 0, 1, 1, 1, 2] and first.tolist() == [0, 2, 5]
    first, level, cell = split_crowded(code, 2, 3)
    assert level.tolist() == [1, 1, 1]
    first, level, cell = split_crowded(code[::-1], 2, 2)
    assert level.tolist() == [1, 2, 2, 1] and cell.tolist() == [3, 2, 2, 1, 0, 0]
    assert code[::-1][first].tolist() in ([0, 6, 7, 12], [1, 6, 7, 12])
    assert split_crowded(code, 2, 6)[1].tolist() == [0]


def test_the_h3_resolution_is_the_nearest_by_ratio():
    import h3

    rng = np.random.default_rng(4)
    latitude, longitude = rng.uniform(40, 42, 400), rng.uniform(0, 2, 400)
    occupied = {
        finer: len({h3.latlng_to_cell(north, east, finer) for north, east in zip(latitude, longitude, strict=True)})
        for finer in range(12)
    }
    for wanted in (1.0, 3.0, 20.0, 90.0, 250.0, 390.0):
        best = min(occupied, key=lambda finer: (round(abs(np.log(occupied[finer] / wanted)), 12), finer))
        assert occupied[fitting_resolution(latitude, longitude, wanted)] == occupied[best]


# The cell of a photo, the table, levels


def two_cells() -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    cells = gpd.GeoDataFrame(
        {"cell_id": [0, 1], "country": "AAA"}, geometry=boxes((0, 40, 5, 42), (5, 40, 10, 42)), crs="EPSG:4326"
    )  # fmt: skip
    shaping = photos_at([(41.9, 9.9), (40.1, 0.1)], "AAA").assign(cell_id=[1, 0])
    return cells, shaping


def test_a_photo_off_the_coast_has_the_cell_whose_land_is_nearest_and_not_whose_photos_are():
    cells, shaping = two_cells()
    rng = np.random.default_rng(7)
    places = np.stack([rng.uniform(42.01, 44, 200), rng.uniform(-2, 12, 200)], axis=1)
    found = assign(cells, shaping, photos_at(places, "AAA"), within_countries=True)
    shores = [shapely.get_coordinates(shapely.segmentize(shapely.boundary(shape), 0.005)) for shape in cells.geometry]
    shores = [vectors_of(shore[:, 1], shore[:, 0]) for shore in shores]
    away = np.array([[km(shore, at).min() for shore in shores] for at in vectors_of(*places.T)])
    clear = np.abs(away[:, 0] - away[:, 1]) > 1
    assert clear.sum() > 150 and (found[clear] == away.argmin(axis=1)[clear]).all()


def test_beyond_1000_km_of_its_land_a_photo_has_the_cell_of_the_nearest_shaping_photo():
    cells, shaping = two_cells()
    near, far = 42 + 990 / DEGREE_KM, 42 + 1010 / DEGREE_KM
    asked = photos_at([(near, 4.0), (far, 4.0), (41, 4.0)], "AAA")
    assert assign(cells, shaping, asked, within_countries=True).tolist() == [0, 1, 0]
    elsewhere = photos_at([(41, 4.0), (42.1, 7.0), (41.9, 4.9)], ["BBB", "BBB", None])
    assert assign(cells, shaping, elsewhere, within_countries=True).tolist() == [0, 1, 1]
    assert assign(cells, shaping, elsewhere, within_countries=False).tolist() == [0, 1, 0]


def test_at_the_place_of_a_shaping_photo_all_have_its_cell():
    cells, shaping = two_cells()
    shaping = pd.concat([shaping, photos_at([(41, 5.0), (41.5, 1.0)], "AAA").assign(cell_id=[1, 1])])
    asked = photos_at([(41, 5.0), (41.5, 1.0), (41.5, 1.0)], ["AAA", "AAA", "BBB"])
    assert assign(cells, shaping, asked, within_countries=True).tolist() == [1, 1, 1]
    assert assign(cells, shaping, asked, within_countries=False).tolist() == [1, 1, 1]


def test_photos_off_the_coast_are_put_on_the_nearest_shore():
    areas = table([("A.2", "b", "A", "r", "AAA", "AAA", shapely.box(5, 40, 10, 42)),
                   ("A.1", "a", "A", "r", "AAA", "AAA", shapely.box(0, 40, 5, 42))])  # fmt: skip
    points = photos_at([(41, 2.0), (39.5, 7.0), (41, 11.0), (41, 2.0)], "AAA")
    country, number = Country.of(areas, points)
    assert country.areas["area_id"].tolist() == ["A.1", "A.2"]
    assert country.photos_per_area().tolist() == [2, 2]
    found = np.stack([country.places.latitude, country.places.longitude], axis=1)[number]
    assert found[0].tolist() == [41, 2] and found[1] == pytest.approx([40, 7], abs=0.01)
    assert found[2, 1] == 10 and found[2, 0] == pytest.approx(41, abs=0.01)
    assert country.area[number].tolist() == [0, 1, 1, 0]


def test_the_table_of_cells_says_what_is_in_them():
    """Two areas with 3 and 40 photos become one cell named after the fuller; one of 130 photos several, numbered."""
    rng = np.random.default_rng(9)
    areas = table([("A.1", "small", "A", "west", "AAA", "Land", shapely.box(0, 40, 1, 41)),
                   ("A.2", "full", "A", "west", "AAA", "Land", shapely.box(1, 40, 2, 41)),
                   ("B.1", "crowded", "B", "east", "AAA", "Land", shapely.box(6, 40, 8, 42))])  # fmt: skip
    places = np.concatenate([rng.uniform([40, 0], [41, 1], (3, 2)), rng.uniform([40, 1], [41, 2], (40, 2)),
                             rng.uniform([40, 6], [42, 8], (130, 2))])  # fmt: skip
    cells, shaping, odd = make_geocells(
        areas, photos_at(places, "AAA"), SETTINGS | {"min_photos": 20, "max_photos": 60}
    )
    assert odd == [] and cells["cell_id"].tolist() == list(range(len(cells)))
    west = cells[cells["region"] == "west"]
    assert west["name"].tolist() == ["full"] and west["area_ids"].tolist() == [["A.1", "A.2"]]
    assert west["photos"].tolist() == [43] and (cells["country_name"] == "Land").all()
    east = cells[cells["region"] == "east"]
    assert east["name"].tolist() == [f"crowded ({number + 1})" for number in range(len(east))] and len(east) >= 3
    for cell in cells.itertuples():
        own = vectors_of(*shaping.loc[shaping["cell_id"] == cell.cell_id, ["latitude", "longitude"]].to_numpy().T)
        mean = own.mean(axis=0) / np.linalg.norm(own.mean(axis=0))
        assert len(own) == cell.photos
        assert km(vectors_of(cell.latitude, cell.longitude), mean) < 1e-5
        assert cell.radius_km == pytest.approx(km(own, mean).max(), abs=1e-5)


def test_levels_join_cells_up_to_their_multiples_of_the_minimum():
    """Six cells in a row, two to a region: factor 2 pairs them, factor 4 joins the pairs of a country."""
    shapes = boxes(*[(east, 40, east + 1, 41) for east in range(6)])
    cells = gpd.GeoDataFrame(
        {"cell_id": range(6), "country": ["A"] * 4 + ["B"] * 2, "photos": [20, 20, 20, 20, 30, 10],
         "region_id": ["p", "p", "q", "q", "r", "r"], "latitude": 40.5, "longitude": np.arange(6) + 0.5},
        geometry=shapes, crs="EPSG:4326",
    )  # fmt: skip
    settings = SETTINGS | {"method": "hierarchy", "levels": [4, 2], "min_photos": 20, "max_photos": 60}
    found = hierarchy(cells, settings)
    levels = {level: rows.set_index("node") for level, rows in found.groupby("level")}
    assert [rows["name"].iloc[0] for rows in levels.values()] == [
        "country", "4 times min_photos", "2 times min_photos", "cell",
    ]  # fmt: skip
    assert levels[0]["photos"].tolist() == [80, 40] and levels[1]["photos"].tolist() == [80, 40]
    assert levels[2]["photos"].tolist() == [40, 40, 40] and levels[3]["photos"].tolist() == [20, 20, 20, 20, 30, 10]
    assert levels[3]["parent"].tolist() == [0, 0, 1, 1, 2, 2] and levels[2]["parent"].tolist() == [0, 0, 1]
    assert levels[1]["parent"].tolist() == [0, 1] and levels[0]["parent"].isna().all()
    assert levels[2].loc[2, "longitude"] == pytest.approx(4.75, abs=1e-3)  # 30 photos at 4.5, 10 at 5.5
    assert levels[0].loc[0, "longitude"] == pytest.approx(2.0) and levels[3].loc[5, "longitude"] == pytest.approx(5.5)
    plain = hierarchy(cells, settings | {"method": "semantic"})
    assert plain["level"].max() == 1 and plain["photos"].sum() == 240


# Figures


def test_figures_of_a_partition_in_plain_numbers():
    assert errors(np.array([1.0, 25, 25.1, 3000])) == {
        "median_km": 25.05, "mean_km": pytest.approx(762.775), "within_1_km": 0.25, "within_25_km": 0.5,
        "within_200_km": 0.75, "within_750_km": 0.75, "within_2500_km": 0.75,
    }  # fmt: skip
    assert spread("x", np.arange(101.0)) == {"x.min": 0, "x.median": 50, "x.p95": 95, "x.max": 100}
    found = entropy(np.array([0, 0, 1, 3]), 8)
    assert found == pytest.approx({"entropy_bits": 1.5, "effective_cells": 2**1.5, "effective_cells_share": 2**1.5 / 8})
    assert entropy(np.zeros(5, int), 2)["entropy_bits"] == 0
    photos = pd.DataFrame({"split": ["train", "val", "test", "test", "val"], "cell_id": [9, 0, 1, 2, 9]})
    assert held_out(photos, pd.DataFrame({"cell_id": [0, 1, 1]})) == {
        "held_out.photos": 4, "held_out.in_empty_cells_share": 0.5,
    }  # fmt: skip
