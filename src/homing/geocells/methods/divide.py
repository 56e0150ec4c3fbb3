"""Land cut into cells of the wanted size, each in one piece where its land is."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree

from homing.geocells.geometry.arcs import Arcs, lines
from homing.geocells.geometry.land import union
from homing.geocells.geometry.voronoi import tangent_frame
from homing.geocells.methods.clusters import partings
from homing.geocells.methods.merge import merge_small
from homing.geocells.places import Places
from homing.labels.grid import Grid
from homing.sphere import unit_vectors

EDGE_DEGREES = 10  # longer edges may reach far beyond their ends: along a parallel around a pole, over 180 degrees
BULGE = 1.1  # of the way to the farthest vertex: how far the others may
TOUCHED = 1e-9  # square degrees
NEAR_KM = 1.0  # a place this close to its land was put on its border, up to rounding


@dataclass(frozen=True)
class Limits:
    """How large a cell may be."""

    min_photos: int
    max_photos: int
    max_radius_km: float | None
    optics: Sequence[tuple[float, float]]

    def wide(self, places: Places) -> bool:
        """Whether the photos reach too far from their mean."""
        return self.max_radius_km is not None and len(places) > 1 and places.radius_km() > self.max_radius_km

    def minima(self, places: Places) -> tuple[int, ...]:
        """What each part needs when a cell of these places is split, the first choice first; none if it is not."""
        if self.wide(places):
            return (self.min_photos, 1)
        return (self.min_photos,) if places.photos.sum() > self.max_photos else ()


@dataclass(frozen=True)
class Part:
    """A piece of land, and the places in it (their numbers)."""

    land: shapely.Geometry
    rows: np.ndarray


def divide(land: shapely.Geometry, places: Places, limits: Limits) -> list[Part]:
    """Parts of the land within the limits, as far as there is a way to split them.

    Splits are tried in the order of `partings`, each part again until it is small enough. Parts are never in more
    pieces than their land: what a split leaves apart, or with too few photos, joins a neighbour.
    """
    done: list[Part] = []
    waiting = [Part(land, np.arange(len(places)))]
    while waiting:
        part = waiting.pop()
        parts = next(_splits(part, places, limits), None)
        if parts is None:
            done.append(part)
        else:
            waiting += reversed(parts)
    return done


def _splits(part: Part, places: Places, limits: Limits) -> Iterator[list[Part]]:
    own = places[part.rows]
    for smallest, needy_first in itertools.product(limits.minima(own), (False, True)):
        if own.photos.sum() < 2 * smallest:
            continue
        for borders in partings(own, smallest, limits.optics, reach(part.land, own)):
            units, unit = tessellate(part.land, own, borders)
            photos = np.bincount(unit, own.photos, len(units)).astype(np.int64)
            regions = [None] * len(units)
            groups = merge_small(units, regions, photos, smallest, limits.max_photos, needy_first=needy_first)
            if len(groups) > 1:
                yield [Part(union(units[group]), part.rows[np.isin(unit, group)]) for group in groups]


def tessellate(land: shapely.Geometry, places: Places, borders: Arcs) -> tuple[np.ndarray, np.ndarray]:
    """The pieces of land between borders, and the piece that each place lies in.

    An island that no border meets and where no photo is belongs to the piece of the place nearest to it.
    """
    faces, islands = cut(land, places, borders)
    pieces = np.concatenate([faces, islands])
    piece = located(pieces, places)
    owner = np.arange(len(pieces))
    empty = len(faces) + np.flatnonzero(~np.isin(owner[len(faces) :], piece))
    if len(empty):
        owner[empty] = piece[cKDTree(places.vectors).query(inside(pieces[empty]))[1]]
    _, unit = np.unique(owner, return_inverse=True)
    return collected(pieces, unit), unit[piece]


def cut(land: shapely.Geometry, places: Places, borders: Arcs) -> tuple[np.ndarray, np.ndarray]:
    """The polygons that borders around places cut from the land, and the parts of it that no border meets."""
    parts = shapely.get_parts(land)
    drawn = _drawn(borders, land, places)
    met = np.unique(shapely.STRtree(parts).query(drawn, predicate="intersects")[1])
    return _faces(parts[met], drawn)[0], np.delete(parts, met)


def collected(pieces: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Polygons with the same number, each number's as one geometry."""
    order = np.argsort(unit, kind="stable")
    several = shapely.multipolygons(pieces[order], indices=unit[order])
    single = np.bincount(unit) == 1
    several[single] = shapely.get_geometry(several[single], 0)
    return several


def _drawn(borders: Arcs, land: shapely.Geometry, places: Places) -> np.ndarray:
    """The borders as lines of the map, where they may meet the land."""
    west, south, east, north = shapely.bounds(land)
    drawn = lines(borders, tangent_frame(places.vectors)[0], reach(land, places), (west + east) / 2)
    bounds = shapely.bounds(drawn)
    meets = (bounds[:, 0] <= east) & (bounds[:, 2] >= west) & (bounds[:, 1] <= north) & (bounds[:, 3] >= south)
    return drawn[meets]


def reach(land: shapely.Geometry, places: Places) -> float:
    """How far the land reaches from the mean of its places (radians)."""
    vertices = shapely.get_coordinates(shapely.segmentize(shapely.boundary(land), EDGE_DEGREES))
    towards = unit_vectors(vertices[:, 1], vertices[:, 0]) @ tangent_frame(places.vectors)[0]
    return min(np.pi, BULGE * float(np.arccos(np.clip(towards.min(), -1, 1))))


def matched(shapes: np.ndarray) -> np.ndarray:
    """The shapes with a corner wherever the border of one ends on an edge of another, so that these share edges."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    faces, part = _faces(parts, np.empty(0, dtype=object))
    return collected(faces, shape[part])


def _faces(pieces: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygons that lines cut from others: all share their vertices, so that nothing is lost or twice; and whose
    part each is."""
    if not len(pieces):
        return pieces, np.empty(0, dtype=np.int64)
    network = shapely.unary_union([*shapely.boundary(pieces), *drawn])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(network)))
    points = shapely.point_on_surface(faces)
    face, piece = shapely.STRtree(pieces).query(points, predicate="intersects")
    # Where a border runs along an edge, up to rounding, a face is a hair's breadth wide, and such a point on its edge.
    land = shapely.contains_properly(pieces[piece], points[face])
    hair = np.flatnonzero(~land)
    common = shapely.intersection(faces[face[hair]], pieces[piece[hair]])
    land[hair] = shapely.area(common) > shapely.area(faces[face[hair]]) / 2
    face, first = np.unique(face[land], return_index=True)
    return faces[face], piece[land][first]


def located(faces: np.ndarray, places: Places) -> np.ndarray:
    """The face that each place lies in; of those that rounding put a little outside, the nearest one."""
    grid = Grid.of(faces, cells=max(1000, int(shapely.get_num_coordinates(faces).sum())))
    found = grid.locate(places.latitude, places.longitude).astype(np.int64)
    outside = np.flatnonzero(found < 0)
    if len(outside):
        found[outside], _ = grid.nearest(places.latitude[outside], places.longitude[outside], NEAR_KM)
    return found


def inside(shapes: np.ndarray) -> np.ndarray:
    """A point in each shape, as unit vectors (n, 3)."""
    points = shapely.get_coordinates(shapely.point_on_surface(shapes))
    return unit_vectors(points[:, 1], points[:, 0])


def areas_of(land: shapely.Geometry, rows: np.ndarray, geometry: np.ndarray) -> np.ndarray:
    """Which of the areas `rows` (of `geometry`) a piece of their land has a part of."""
    if len(rows) == 1:
        return rows
    near = rows[np.sort(shapely.STRtree(geometry[rows]).query(land, predicate="intersects"))]
    shapely.prepare(land)
    touched = shapely.covers(land, geometry[near])
    partly = ~touched
    touched[partly] = shapely.area(shapely.intersection(geometry[near[partly]], land)) > TOUCHED
    return near[touched]
