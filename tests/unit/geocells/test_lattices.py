"""Lattices agree with the reference libraries, obey their limits, cover the globe and contain their photos."""

import h3
import numpy as np
import pytest
import s2sphere
import shapely

from homing.geocells.geometry import s2
from homing.geocells.geometry.land import area_km2
from homing.geocells.geometry.outlines import EDGE_ERROR_KM, EDGE_ERROR_SHARE, edge_ends, subdivide_edges
from homing.geocells.methods.lattices import h3_cells, quadtree_cells, s2_cells
from homing.sphere import EARTH_RADIUS_KM, haversine_km, unit_vectors

SETTINGS = {"min_photos": 5, "max_photos": 20, "s2_level": 9, "quadtree_depth": 9, "h3_resolution": 2}
METHODS = [s2_cells, h3_cells, quadtree_cells]
GLOBE_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2


@pytest.fixture(scope="module")
def places():
    """Points all over the globe, in a town, at one place, around 180 degrees and the poles, on edges of the cube."""
    rng = np.random.default_rng(0)
    latitude = [np.degrees(np.arcsin(rng.uniform(-1, 1, 400))), rng.normal(48.85, 0.1, 200), np.full(50, -33.9)]
    longitude = [rng.uniform(-180, 180, 400), rng.normal(2.35, 0.1, 200), np.full(50, 18.4)]
    latitude += [rng.uniform(-20, -15, 80), 90 - rng.exponential(1, 60), rng.exponential(1, 60) - 90]
    longitude += [rng.uniform(178, 182, 80), rng.uniform(-180, 180, 60), rng.uniform(-180, 180, 60)]
    seams = np.meshgrid([-90, -45, 0, 35.26438968, 45, 90], np.arange(-180, 181, 45))
    latitude, longitude = np.concatenate([*latitude, seams[0].ravel()]), np.concatenate([*longitude, seams[1].ravel()])
    return latitude, np.where(longitude > 180, longitude - 360, longitude)


def outside_km(polygons, latitude, longitude):
    """The distance of each photo from its polygon; 180 and -180 degrees are the same meridian."""
    found = []
    for turn in (0, np.where(longitude > 0, -360, 360)):
        lines = shapely.shortest_line(polygons, shapely.points(longitude + turn, latitude))
        near = shapely.get_coordinates(shapely.get_point(lines, 0))
        found.append(haversine_km(near[:, 1], near[:, 0], latitude, longitude))
    return np.minimum(*found)


@pytest.mark.parametrize("level", [0, 1, 2, 5, 10, 13, 30])
def test_s2_tokens_are_those_of_s2(level, places):
    corners = np.array(np.meshgrid(*3 * [[-1, -0.5, 0, 0.5, 1]])).reshape(3, -1).T
    vectors = np.concatenate([unit_vectors(*places), corners[np.any(corners, axis=1)]])
    tokens = s2.tokens(s2.positions(*s2.leaf_cells(vectors), level), np.full(len(vectors), level))
    cells = [s2sphere.CellId.from_point(s2sphere.Point(*vector)) for vector in vectors.tolist()]
    assert tokens.tolist() == [cell.parent(level).to_token() for cell in cells]


def planet_leaves(latitude, longitude, settings):
    """PlaNet's splits by recursion: cells with photos, and their photos."""
    leaves = [
        s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*place))
        for place in zip(latitude.tolist(), longitude.tolist(), strict=True)
    ]
    found = {}

    def split(cell, photos):
        inside = [photo for photo in photos if cell.contains(leaves[photo])]
        if len(inside) > settings["max_photos"] and cell.level() < settings["s2_level"]:
            for child in cell.children():
                split(child, inside)
        elif inside:
            found[cell] = inside

    for face in range(6):
        split(s2sphere.CellId.from_face_pos_level(face, 0, 0), range(len(leaves)))
    return found


def test_s2_cells_are_split_and_dropped_as_in_planet(places):
    made = s2_cells(*places, SETTINGS)
    leaves = planet_leaves(*places, SETTINGS)
    kept = {cell.to_token(): cell for cell, photos in leaves.items() if len(photos) >= SETTINGS["min_photos"]}
    assert made.key.tolist() == sorted(kept) and len(kept) < len(leaves)
    centres = np.array([[*kept[key].to_point()] for key in made.key])
    nearness = unit_vectors(*places) @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    for cell, photos in leaves.items():
        if cell.to_token() in kept:
            assert set(made.key[made.cell[photos]]) == {cell.to_token()}
        else:
            assert nearness[photos, made.cell[photos]] == pytest.approx(nearness[photos].max(axis=1), abs=1e-12)


def test_quadtree_boxes_are_split_as_recursion_does(places):
    found = {}

    def split(path, box, latitude, longitude, photos):
        south, west, north, east = box
        if len(photos) <= SETTINGS["max_photos"] or len(path) > SETTINGS["quadtree_depth"]:
            found.update(dict.fromkeys(photos.tolist(), (path, box)))
            return
        middle, centre = (south + north) / 2, (west + east) / 2
        for digit, (lower, left) in enumerate([(True, True), (True, False), (False, True), (False, False)]):
            inside = ((latitude[photos] < middle) == lower) & ((longitude[photos] < centre) == left)
            rows, columns = (south, middle) if lower else (middle, north), (west, centre) if left else (centre, east)
            split(f"{path}{digit}", (rows[0], columns[0], rows[1], columns[1]), latitude, longitude, photos[inside])

    split("q", (-90, -180, 90, 180), *places, np.arange(len(places[0])))
    made = quadtree_cells(*places, SETTINGS)
    assert [(made.key[cell], made.polygon[cell].bounds) for cell in made.cell] == [
        (path, (west, south, east, north)) for path, (south, west, north, east) in (found[p] for p in sorted(found))
    ]


def test_h3_cells_are_those_of_h3(places):
    made = h3_cells(*places, SETTINGS)
    assert made.key[made.cell].tolist() == [h3.latlng_to_cell(*place, 2) for place in np.column_stack(places).tolist()]


@pytest.mark.parametrize("max_photos", [1, 2, 3, 5, 20, 400, 10**6])
def test_h3_takes_the_resolution_that_max_photos_suggests(places, max_photos):
    occupied = [
        len({h3.latlng_to_cell(*place, finer) for place in np.column_stack(places).tolist()}) for finer in range(16)
    ]
    wanted = len(places[0]) / max_photos
    best = int(np.argmin([abs(np.log(cells / wanted)) for cells in occupied]))
    made = h3_cells(*places, {"max_photos": max_photos, "h3_resolution": None})
    assert h3.get_resolution(str(made.key[0])) == best


@pytest.mark.parametrize("method", METHODS)
def test_cells_contain_their_photos_and_do_not_depend_on_their_order(method, places):
    latitude, longitude = places
    made = method(*places, SETTINGS | {"min_photos": 1})
    assert (np.diff(made.key.argsort()) == 1).all() and len(set(made.key)) == len(made.key)
    assert set(made.cell) == set(range(len(made.key)))
    assert shapely.is_valid(made.polygon).all()
    bounds = shapely.bounds(made.polygon)
    assert (bounds[:, :2] >= [-180, -90]).all() and (bounds[:, 2:] <= [180, 90]).all()
    assert outside_km(made.polygon[made.cell], latitude, longitude).max() < 1.05 * EDGE_ERROR_KM
    shuffled = np.random.default_rng(1).permutation(len(latitude))
    again = method(latitude[shuffled], longitude[shuffled], SETTINGS | {"min_photos": 1})
    assert (again.cell == made.cell[shuffled]).all() and (again.key == made.key).all()
    assert shapely.equals_exact(again.polygon, made.polygon).all()


def test_straight_lines_on_the_map_stay_by_the_great_circle():
    rng = np.random.default_rng(2)
    start = unit_vectors(np.degrees(np.arcsin(rng.uniform(-1, 1, 500))), rng.uniform(-180, 180, 500))
    stop = start + rng.normal(size=start.shape) * np.geomspace(1e-5, 0.5, 500)[:, None]
    over_equator = unit_vectors([-5, -4, -30], [0, 179, 60]), unit_vectors([5, 4, 30], [10, -176, 61])
    start = np.concatenate([start, over_equator[0]])
    stop = np.concatenate([stop / np.linalg.norm(stop, axis=1, keepdims=True), over_equator[1]])
    start, stop, edge = subdivide_edges(start, stop)
    assert set(edge) == set(range(503)) and (np.diff(edge) >= 0).all()
    assert (start[1:] == stop[:-1]).all(axis=1)[np.diff(edge) == 0].all()
    (south, west), (north, east) = edge_ends(start, stop)
    share = np.linspace(0, 1, 33)[:, None]
    on_line = unit_vectors(south + share * (north - south), west + share * (east - west))
    normal = np.cross(start, stop)
    deviation_km = (
        EARTH_RADIUS_KM * np.abs(np.sum(on_line * normal, axis=2)).max(axis=0) / np.linalg.norm(normal, axis=1)
    )
    length_km = haversine_km(south, west, north, east)
    assert (deviation_km < 1.05 * np.minimum(EDGE_ERROR_KM, EDGE_ERROR_SHARE * length_km)).all()


def whole_s2(level):
    ids = [s2sphere.CellId.begin(level)]
    while len(ids) < 6 * 4**level:
        ids.append(ids[-1].next())
    centres = [cell.to_lat_lng() for cell in ids]
    place = np.repeat([[centre.lat().degrees, centre.lng().degrees] for centre in centres], 2, axis=0)
    areas = {cell.to_token(): s2sphere.Cell(cell).exact_area() * EARTH_RADIUS_KM**2 for cell in ids}
    return s2_cells(*place.T, {"min_photos": 1, "max_photos": 1, "s2_level": level}), areas


def whole_h3(resolution):
    names = [name for base in h3.get_res0_cells() for name in h3.cell_to_children(base, resolution)]
    place = np.array([h3.cell_to_latlng(name) for name in names])
    areas = {name: h3.cell_area(name, "rads^2") * EARTH_RADIUS_KM**2 for name in names}
    return h3_cells(*place.T, {"h3_resolution": resolution}), areas


@pytest.mark.parametrize(
    ("whole", "level"), [(whole_s2, 0), (whole_s2, 1), (whole_s2, 4), (whole_h3, 0), (whole_h3, 1)]
)
def test_all_cells_of_a_level_cover_the_globe_once(whole, level):
    made, areas = whole(level)
    measured = np.array([area_km2(polygon) for polygon in made.polygon])
    assert set(made.key) == set(areas) and shapely.is_valid(made.polygon).all()
    assert measured == pytest.approx([areas[key] for key in made.key], rel=2e-3)
    assert measured.sum() == pytest.approx(GLOBE_KM2, rel=1e-9)


def test_where_no_cell_has_enough_photos_the_fullest_has_all(places):
    latitude, longitude = np.array([10.0, 10.1, 50.0, -80.0]), np.array([20.0, 20.1, 120.0, 5.0])
    made = s2_cells(latitude, longitude, SETTINGS | {"max_photos": 2})
    assert made.key.tolist() == ["1"] and made.cell.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "place", [(48.85, 2.35), (0.0, 0.0), (90.0, 0.0), (-90.0, 77.0), (-17.0, 180.0), (65.0, -180.0)]
)
@pytest.mark.parametrize("method", METHODS)
def test_one_photo_and_many_at_one_place(method, place):
    settings = {"min_photos": 1, "max_photos": 10, "s2_level": 30, "quadtree_depth": 30, "h3_resolution": 15}
    one, many = (method(*np.tile(place, (photos, 1)).T, settings) for photos in (1, 11))
    assert len(one.key) == len(many.key) == 1 and many.cell.tolist() == [0] * 11
    names = {s2_cells: (1, 16), h3_cells: (15, 15), quadtree_cells: (1, 31)}[method]
    assert (len(one.key[0]), len(many.key[0])) == names
    assert shapely.is_valid(many.polygon).all() and outside_km(many.polygon, *np.tile(place, (1, 1)).T).max() < 1e-4
