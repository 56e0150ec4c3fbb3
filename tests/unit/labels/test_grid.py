"""The grid of areas against exact arithmetic, GEOS and brute force, on awkward geometries."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from homing.labels.areas import AreaLookup, locate
from homing.labels.boundaries import polygons_of
from homing.labels.exact import side
from homing.labels.grid import Grid
from homing.sphere import chord_to_km, haversine_km, unit_vectors

# Coordinates that share latitudes, longitudes and vertices, and that are no binary fractions.
tenths = st.integers(-12, 12).map(lambda number: number / 10)
corners = st.lists(st.tuples(tenths, tenths), min_size=3, max_size=7, unique=True)


def polygons(rings) -> list[shapely.Geometry]:
    """Valid polygons from any rings, even self-intersecting ones."""
    shapes = [polygons_of(shapely.GeometryCollection([shapely.make_valid(shapely.Polygon(ring))])) for ring in rings]
    return [shape for shape in shapes if not shape.is_empty]


def holds(shape: shapely.Geometry, x: float, y: float) -> bool:
    """Even-odd rule in rational arithmetic; a point on the border is inside."""
    inside = False
    px, py = Fraction(x), Fraction(y)
    for ring in shapely.get_rings(shapely.get_parts(shape)):
        points = [(Fraction(a), Fraction(b)) for a, b in shapely.get_coordinates(ring)]
        for (ax, ay), (bx, by) in pairwise(points):
            cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
            if cross == 0 and min(ax, bx) <= px <= max(ax, bx) and min(ay, by) <= py <= max(ay, by):
                return True
            if (ay <= py) != (by <= py) and (cross > 0) == (by > ay):
                inside = not inside
    return inside


def expected(shapes, x: float, y: float) -> int:
    return next((number for number, shape in enumerate(shapes) if holds(shape, x, y)), -1)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(corners, min_size=1, max_size=5),
    st.lists(st.tuples(tenths, tenths), min_size=1, max_size=12),
    st.sampled_from([4, 40, 900]),
    st.randoms(use_true_random=False),
)
def test_the_answer_is_that_of_exact_arithmetic(rings, lattice, cells, random):
    """At vertices, on edges, level with vertices and on grid lines; of overlapping areas the first one counts."""
    shapes = polygons(rings)
    if not shapes:
        return
    grid = Grid.of(np.array(shapes), cells)
    points = list(lattice)
    for shape in shapes:
        vertices = shapely.get_coordinates(shape)
        for number in range(len(vertices) - 1):
            part = random.random()
            points.append(tuple(vertices[number]))
            points.append(tuple(vertices[number] + part * (vertices[number + 1] - vertices[number])))
    points += [(float(grid.longitudes[len(grid.longitudes) // 2]), y) for _, y in lattice]
    points += [(x, float(grid.latitudes[len(grid.latitudes) // 2])) for x, _ in lattice]
    x, y = (np.array(column) for column in zip(*points, strict=True))
    found = grid.locate(y, x)
    assert found.tolist() == [expected(shapes, *point) for point in points]


@settings(max_examples=200, deadline=None)
@given(*[st.floats(-180, 180, allow_nan=False)] * 4, st.floats(0, 1), st.integers(-2, 2))
def test_sides_are_exact_where_floating_point_cannot_tell(ax, ay, bx, by, along, steps):
    x, y = ax + along * (bx - ax), ay + along * (by - ay)
    for _ in range(abs(steps)):
        y = float(np.nextafter(y, np.inf * steps))
    cross = (Fraction(ax) - Fraction(x)) * (Fraction(by) - Fraction(y)) - (Fraction(ay) - Fraction(y)) * (
        Fraction(bx) - Fraction(x)
    )
    if 0 < abs(cross) < Fraction(1, 10**290):
        return  # products underflow; no coordinates on Earth do
    assert side(ax, ay, bx, by, x, y) == (cross > 0) - (cross < 0)


@pytest.fixture(scope="module")
def islands() -> list[shapely.Geometry]:
    """Jagged islands: two halves at 180 degrees, one around a pole, one with a lake that holds an islet."""
    rng = np.random.default_rng(0)
    shapes: list[shapely.Geometry] = []
    for x, y, size in [
        (-60, 10, 6),
        (-52, 12, 4),
        (5, 60, 5),
        (100, -30, 8),
        (104, -24, 3),
        (20, 0, 0.4),
        (21, 0.3, 0.4),
    ]:
        angle = np.sort(rng.uniform(0, 2 * np.pi, 60))
        radius = size * rng.uniform(0.6, 1, 60)
        shapes.append(shapely.Polygon(np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])))
    shapes.append(shapely.MultiPolygon([shapely.box(178, -20, 180, -16), shapely.box(-180, -20, -179, -16)]))
    shapes.append(shapely.box(-180, -90, 180, -72))
    lake = shapely.Polygon(shapely.box(60, 20, 70, 30).exterior, [shapely.box(62, 22, 68, 28).exterior])
    shapes.append(shapely.MultiPolygon([lake, shapely.box(64, 24, 65, 25)]))
    return [shapely.make_valid(shape) for shape in shapes]


def test_inside_as_geos_finds_it(islands):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-180, 180, 40_000), rng.uniform(-90, 90, 40_000)
    borders = np.concatenate([shapely.get_coordinates(shape) for shape in islands])
    x, y = np.concatenate([x, borders[:, 0]]), np.concatenate([y, borders[:, 1]])
    inside = np.stack([shapely.intersects_xy(shape, x, y) for shape in islands])
    first = np.where(inside.any(axis=0), inside.argmax(axis=0), -1)
    np.testing.assert_array_equal(Grid.of(np.array(islands)).locate(y, x), first)


def test_nearest_by_brute_force(islands):
    """Against the vertices of all borders, split to 0.002 degrees, at all latitudes and across 180 degrees."""
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, 500)
    centres = np.concatenate([shapely.get_coordinates(shape) for shape in islands])[rng.integers(0, 400, 500)]
    y = np.clip(centres[:, 1] + rng.exponential(1.5, 500) * np.sin(angle), -90, 90)
    x = (centres[:, 0] + rng.exponential(1.5, 500) * np.cos(angle) + 180) % 360 - 180
    limit = 300
    number, distance = locate(Grid.of(np.array(islands)), y, x, limit)
    pieces = [shapely.get_coordinates(shapely.segmentize(shape.boundary, 0.002)) for shape in islands]
    trees = [cKDTree(unit_vectors(piece[:, 1], piece[:, 0])) for piece in pieces]
    nearest_km = np.stack([chord_to_km(tree.query(unit_vectors(y, x))[0]) for tree in trees], axis=1)
    for point in np.flatnonzero(number != -1):
        if distance[point] == 0:
            assert shapely.intersects_xy(islands[number[point]], x[point], y[point])
            continue
        distances = nearest_km[point]
        assert distance[point] <= min(distances) * (1 + 1e-6) and distance[point] == pytest.approx(
            min(distances), abs=0.12
        )
        assert distances[number[point]] == pytest.approx(min(distances), abs=0.12)
    for point in np.flatnonzero(number == -1):
        assert nearest_km[point].min() > limit - 0.12
    assert (distance > 100).sum() > 20 and (number == -1).sum() > 20 and (distance == 0).sum() > 20


def test_180_and_minus_180_are_one_meridian():
    grid = Grid.of(np.array([shapely.box(170, 0, 180, 10), shapely.box(-180, 20, -170, 30)]))
    number, distance = locate(grid, np.array([5.0, 5.0, 25.0, 25.0]), np.array([180.0, -180.0, 180.0, -180.0]), 10)
    assert number.tolist() == [0, 0, 1, 1] and (distance == 0).all()


def test_the_poles_have_areas_and_neighbours():
    grid = Grid.of(np.array([shapely.box(-180, -90, 180, -80), shapely.box(0, 88, 90, 89)]))
    number, distance = locate(grid, np.array([-90.0, 90.0]), np.array([12.0, -77.0]), 200)
    assert number.tolist() == [0, 1]
    assert distance[0] == 0 and distance[1] == pytest.approx(haversine_km(90, 0, 89, 0))


def test_no_areas_and_no_points(tmp_path):
    Grid.of(np.array([], dtype=object)).save(tmp_path / "grid")
    number, distance = locate(Grid.load(tmp_path / "grid"), np.array([1.0]), np.array([2.0]), 100)
    assert number.tolist() == [-1] and np.isnan(distance).all()
    number, _ = locate(Grid.of(np.array([shapely.box(0, 0, 1, 1)])), np.empty(0), np.empty(0), 100)
    assert number.shape == (0,)


def test_a_saved_grid_answers_alike_and_its_digest_depends_on_its_content(tmp_path, islands):
    rng = np.random.default_rng(3)
    y, x = rng.uniform(-90, 90, 5000), rng.uniform(-180, 180, 5000)
    Grid.of(np.array(islands)).save(tmp_path / "a")
    Grid.of(np.array(islands)).save(tmp_path / "b")
    Grid.of(np.array(islands[1:])).save(tmp_path / "c")
    for one, other in zip(
        locate(Grid.of(np.array(islands)), y, x, 100), locate(Grid.load(tmp_path / "a"), y, x, 100), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    a, b, c = (AreaLookup(str(tmp_path / name), 100).identity() for name in "abc")
    assert a == b != c
