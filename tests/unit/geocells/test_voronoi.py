"""Voronoi borders against brute force: a point lies on the side of its nearest place."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from homing.geocells.geometry.arcs import Arcs, lines
from homing.geocells.geometry.borders import TOUCHING_KM, shared_borders
from homing.geocells.geometry.places import Places
from homing.geocells.geometry.tessellation import cut, reach
from homing.geocells.geometry.voronoi import TOLERANCE_KM, TOLERANCE_SHARE, label_borders
from homing.sphere import EARTH_RADIUS_KM, chord_to_km, haversine_km, unit_vectors

METRE = 9e-6  # degrees of latitude
GLOBE = shapely.MultiPolygon(
    [shapely.box(w, s, w + 15, s + 15) for w in range(-180, 180, 15) for s in range(-90, 90, 15)]
)


def places_at(latitude, longitude) -> Places:
    return Places.of(np.asarray(latitude, dtype=float), np.asarray(longitude, dtype=float))[0]


def random_points(land, places, count=6000):
    """Latitude and longitude of points in the bounds of the land, half of them near places."""
    rng = np.random.default_rng(1)
    west, south, east, north = land.bounds
    low, high = np.sin(np.radians([south, north]))
    latitude, longitude = np.degrees(np.arcsin(rng.uniform(low, high, count))), rng.uniform(west, east, count)
    near, spread = rng.integers(0, len(places), count // 2), 10 ** rng.uniform(-6, 0, count // 2)
    latitude[: count // 2] = (places.latitude[near] + spread * rng.normal(size=count // 2)).clip(south, north)
    longitude[: count // 2] = (places.longitude[near] + spread * rng.normal(size=count // 2)).clip(west, east)
    return latitude, longitude


def check_faces(land, places, labels):
    """All points in a face have nearest places of one label, except points equally near to another by the tolerance."""
    labels = np.asarray(labels)
    faces = np.concatenate(cut(land, places, label_borders(places.vectors, labels, reach(land, places))))
    assert shapely.area(faces).sum() == pytest.approx(shapely.area(land), rel=1e-9)
    latitude, longitude = random_points(land, places)
    point, face = shapely.STRtree(faces).query(shapely.points(longitude, latitude), predicate="within")
    vectors = unit_vectors(latitude[point], longitude[point])
    distance_km = chord_to_km(np.linalg.norm(vectors[:, None] - places.vectors, axis=2))
    each = np.unique(labels)
    nearest_km = np.stack([distance_km[:, labels == label].min(axis=1) for label in each], axis=1)
    first, second = np.sort(nearest_km, axis=1)[:, :2].T
    closest_km = haversine_km(
        *np.array([places.latitude, places.longitude])[:, :, None], places.latitude, places.longitude
    )
    closest_km = closest_km[labels[:, None] != labels].min()
    clear = second - first > 5 * min(TOLERANCE_KM, TOLERANCE_SHARE * closest_km)
    assert clear.mean() > 0.1
    found = np.stack([face[clear], each[nearest_km.argmin(axis=1)][clear]], axis=1)
    assert len(np.unique(found, axis=0)) == len(np.unique(found[:, 0]))


RING = np.arange(12) * 30.0 - 180
GRID = np.arange(49)
FEW_VERTICES = shapely.box(-180, -90, 180, -60)
PLACES = {
    "two": ([10, 12], [5, 9], shapely.box(0, 0, 20, 20)),
    "two across 180 degrees": ([10, 10], [179, 181], shapely.box(170, 0, 190, 20)),
    "two across the pole": ([80, 80], [0, 180], shapely.box(-180, 60, 180, 90)),
    "four around the pole": ([80, 80, 80, 80], [0, 90, 180, -90], shapely.box(-180, 60, 180, 90)),
    "one on the pole": ([-90, -70, -80, -75], [0, 0, 90, -100], FEW_VERTICES),
    "a ring around the pole": (np.full(12, 75), RING, shapely.box(-180, 60, 180, 90)),
    "on the equator": (np.zeros(9), np.arange(9), shapely.box(-5, -20, 15, 20)),
    "on a meridian": (np.arange(9), np.full(9, 30), shapely.box(10, -20, 50, 20)),
    "on a parallel": (np.full(9, 60), np.arange(9) * 3, shapely.box(-5, 50, 40, 70)),
    "in a lattice": (40 + GRID // 7 * 0.5, 10 + GRID % 7 * 0.5, shapely.box(8, 38, 15, 46)),
    "in a lattice on the equator": (GRID // 7 - 3, GRID % 7 - 3, shapely.box(-5, -5, 5, 5)),
    "aside of a polar cap of few vertices": (-75 + np.arange(9) % 3, 45 + np.arange(9) // 3 * 20, FEW_VERTICES),
    "opposite each other": ([0, 0], [0, 180], GLOBE),
    "on both poles": ([90, -90], [0, 0], GLOBE),
    "around the equator": (np.zeros(4), [0, 90, 180, -90], GLOBE),
    "three, and land all over the globe": ([10, -20, 40], [0, 30, 10], GLOBE),
    "a metre apart": (45 + METRE * np.array([0, 0, 1, 1, 0.5]), 7 + METRE * np.array([0, 1.4, 0, 1.4, 0.6]),
                      shapely.box(6.9999, 44.9999, 7.0001, 45.0001)),
    "a metre apart and far away": ([45, 45 + METRE, 47], [7, 7, 9], shapely.box(4, 43, 12, 49)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_the_nearest_place_decides_where(name):
    latitude, longitude, land = PLACES[name]
    places = places_at(latitude, longitude)
    check_faces(land, places, np.arange(len(places)))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    st.sampled_from([(-3, 37, 18, 53), (170, -25, 190, -5), (-180, 65, 180, 90), (-180, -90, 180, -60), None]),
    st.integers(2, 60),
    st.integers(1, 8),
    st.integers(0, 10_000),
)
def test_the_nearest_place_decides(bounds, count, labels, seed):
    """Random places of a few labels: temperate, across 180 degrees, around both poles, all over the globe."""
    rng = np.random.default_rng(seed)
    land = shapely.box(*bounds) if bounds else GLOBE
    west, south, east, north = land.bounds
    low, high = np.sin(np.radians([south, north]))
    places = places_at(np.degrees(np.arcsin(rng.uniform(low, high, count))), rng.uniform(west, east, count))
    label = np.arange(count) % max(labels, 2)
    check_faces(land, places, label)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(-80, 80), st.floats(0.001, 6), st.sampled_from([0, 45, 88, 90]), st.booleans())
def test_lines_follow_their_arcs(middle_latitude, half_width, bearing, on_equator):
    """Lines are within the tolerance all along, also where an arc is S-shaped and its midpoint on the straight line."""
    middle = unit_vectors(0.0 if on_equator else middle_latitude, 20.0)
    east = np.array([-np.sin(np.radians(20)), np.cos(np.radians(20)), 0])
    north = np.cross(middle, east)
    towards = np.cos(np.radians(bearing)) * east + np.sin(np.radians(bearing)) * north
    half = np.radians(half_width)
    ends = [np.cos(half) * middle + sign * np.sin(half) * towards for sign in (-1, 1)]
    arc = Arcs(ends[0][None], ends[1][None], np.array([TOLERANCE_KM]))
    drawn = shapely.get_coordinates(shapely.segmentize(lines(arc, middle, 1.0, 0.0), 0.05))
    off_km = EARTH_RADIUS_KM * np.abs(unit_vectors(drawn[:, 1], drawn[:, 0]) @ np.cross(middle, towards))
    assert off_km.max() < 1.5 * TOLERANCE_KM


def test_neighbours_share_edges_or_touch():
    box = shapely.box
    shapes = np.array([box(0, 0, 1, 1), box(1, 0, 2, 1), box(2, 1, 3, 2), box(2.9, 1.2, 4, 1.8), box(9, 9, 10, 10)])
    found = shared_borders(shapes)
    assert set(found) == {(0, 1), (1, 2), (2, 3)}
    assert found[0, 1] == pytest.approx(111.195, abs=0.01) and found[1, 2] == found[2, 3] == TOUCHING_KM
