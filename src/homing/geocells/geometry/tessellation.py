"""Land cut along lines into pieces that share their vertices, and the piece of each place."""

import numpy as np
import shapely
from scipy.spatial import cKDTree

from homing.geocells.geometry.arcs import Arcs, lines
from homing.geocells.geometry.places import Places
from homing.geocells.geometry.voronoi import tangent_frame
from homing.labels.grid import Grid
from homing.sphere import unit_vectors

EDGE_DEGREES = 10  # longer edges may reach far beyond their ends: along a parallel around a pole, or across 180 degrees
REACH_MARGIN = 1.1  # edges may reach farther than their farthest vertex
MIN_SHARED_AREA = 1e-9  # square degrees
NEAR_KM = 1.0  # rounding moves a place on a border off its land by less than this


def tessellate(land: shapely.Geometry, places: Places, borders: Arcs) -> tuple[np.ndarray, np.ndarray]:
    """Cut land along borders; return the pieces and the number of the piece that contains each place.

    An island that no border crosses and that holds no place belongs to the piece of the place nearest to it.
    """
    faces, islands = cut(land, places, borders)
    pieces = np.concatenate([faces, islands])
    piece = locate(pieces, places)
    owner = np.arange(len(pieces))
    empty = len(faces) + np.flatnonzero(~np.isin(owner[len(faces) :], piece))
    if len(empty):
        owner[empty] = piece[cKDTree(places.vectors).query(interior_points(pieces[empty]))[1]]
    _, unit = np.unique(owner, return_inverse=True)
    return collect(pieces, unit), unit[piece]


def cut(land: shapely.Geometry, places: Places, borders: Arcs) -> tuple[np.ndarray, np.ndarray]:
    """Return the polygons that borders around places cut from the land, and the parts of it that no border crosses."""
    parts = shapely.get_parts(land)
    drawn = _draw(borders, land, places)
    crossed = np.unique(shapely.STRtree(parts).query(drawn, predicate="intersects")[1])
    return _faces(parts[crossed], drawn)[0], np.delete(parts, crossed)


def collect(pieces: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Collect the polygons of each unit 0..n-1 into one geometry (n,), a MultiPolygon if there are several."""
    order = np.argsort(unit, kind="stable")
    collected = shapely.multipolygons(pieces[order], indices=unit[order])
    single = np.bincount(unit) == 1
    collected[single] = shapely.get_geometry(collected[single], 0)
    return collected


def add_shared_vertices(shapes: np.ndarray) -> np.ndarray:
    """Return the shapes with a vertex wherever one's border ends on another's edge, so that neighbours share edges."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    faces, part = _faces(parts, np.empty(0, dtype=object))
    return collect(faces, shape[part])


def reach(land: shapely.Geometry, places: Places) -> float:
    """Return an upper bound of the angle (radians) between the mean of the places and any point of the land."""
    vertices = shapely.get_coordinates(shapely.segmentize(shapely.boundary(land), EDGE_DEGREES))
    cosines = unit_vectors(vertices[:, 1], vertices[:, 0]) @ tangent_frame(places.vectors)[0]
    return min(np.pi, REACH_MARGIN * float(np.arccos(np.clip(cosines.min(), -1, 1))))


def locate(faces: np.ndarray, places: Places) -> np.ndarray:
    """Return the face (n,) that contains each place; for a place just outside, by rounding, the nearest one."""
    grid = Grid.of(faces, cells=max(1000, int(shapely.get_num_coordinates(faces).sum())))
    found = grid.locate(places.latitude, places.longitude).astype(np.int64)
    outside = np.flatnonzero(found < 0)
    if len(outside):
        found[outside], _ = grid.nearest(places.latitude[outside], places.longitude[outside], NEAR_KM)
    return found


def interior_points(shapes: np.ndarray) -> np.ndarray:
    """Return a point in each shape as unit vectors (n, 3)."""
    points = shapely.get_coordinates(shapely.point_on_surface(shapes))
    return unit_vectors(points[:, 1], points[:, 0])


def overlapping_areas(land: shapely.Geometry, rows: np.ndarray, geometry: np.ndarray) -> np.ndarray:
    """Return those of the areas `rows` (of `geometry`) that share land with a piece of their union."""
    if len(rows) == 1:
        return rows
    near = rows[np.sort(shapely.STRtree(geometry[rows]).query(land, predicate="intersects"))]
    shapely.prepare(land)
    shared = shapely.covers(land, geometry[near])
    partly = ~shared
    shared[partly] = shapely.area(shapely.intersection(geometry[near[partly]], land)) > MIN_SHARED_AREA
    return near[shared]


def _draw(borders: Arcs, land: shapely.Geometry, places: Places) -> np.ndarray:
    """Return the borders as lines in degrees, those that may cross the land."""
    west, south, east, north = shapely.bounds(land)
    drawn = lines(borders, tangent_frame(places.vectors)[0], reach(land, places), (west + east) / 2)
    bounds = shapely.bounds(drawn)
    meets = (bounds[:, 0] <= east) & (bounds[:, 2] >= west) & (bounds[:, 1] <= north) & (bounds[:, 3] >= south)
    return drawn[meets]


def _faces(pieces: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the polygons that lines cut from the pieces, and the piece that each is part of.

    All are polygonised from one noded network and share its vertices, so that no land is lost or counted twice.
    """
    if not len(pieces):
        return pieces, np.empty(0, dtype=np.int64)
    network = shapely.unary_union([*shapely.boundary(pieces), *drawn])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(network)))
    points = shapely.point_on_surface(faces)
    face, piece = shapely.STRtree(pieces).query(points, predicate="intersects")
    # Where a line runs along an edge up to rounding, a face is a sliver whose inner point lies on the edge.
    land = shapely.contains_properly(pieces[piece], points[face])
    sliver = np.flatnonzero(~land)
    common = shapely.intersection(faces[face[sliver]], pieces[piece[sliver]])
    land[sliver] = shapely.area(common) > shapely.area(faces[face[sliver]]) / 2
    face, first = np.unique(face[land], return_index=True)
    return faces[face], piece[land][first]
