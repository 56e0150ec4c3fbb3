"""Polygons in longitude and latitude of cells with great circles as edges, cut at 180 degrees and closed at a pole."""

import numpy as np
import shapely

from homing.geocells.geometry.land import rolled
from homing.sphere import KM_PER_DEGREE, from_vectors, wrap_longitude

EDGE_ERROR_KM = 0.1  # how far a straight line in longitude and latitude may be from the great circle,
EDGE_ERROR_SHARE = 0.01  # and how far as a share of its length
LONGEST_DEGREES = 5  # longer edges are halved in any case: one that crosses the equator is an S, its middle on the line
AT_POLE = 90 - 1e-9  # degrees
NO_WIDTH = 1e-9  # degrees: beyond 180 by rounding alone


def outlines(corner: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Polygons (cells,), EPSG:4326, of cells with corners (corners, 3) on the unit sphere, joined by great circles.

    cell: (corners,) number of the corner's cell, ascending from 0, with no number left out; around a cell in order.
    """
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    following = np.arange(1, len(cell) + 1)
    following[np.append(first[1:], len(cell)) - 1] = first
    start, stop, edge = short_edges(corner, corner[following])
    latitude, longitude, cell = with_poles(start, stop, cell[edge])
    latitude, longitude, cell = unrolled_rings(latitude, longitude, cell)
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    longitude += 360 * (np.minimum.reduceat(longitude, first) < -180 - NO_WIDTH)[cell]
    crosses = np.maximum.reduceat(longitude, first) > 180 + NO_WIDTH
    longitude = np.where(crosses[cell], longitude, np.clip(longitude, -180, 180))
    rings = shapely.linearrings(np.column_stack([longitude, latitude]), indices=cell)
    polygons = shapely.polygons(rings)
    polygons[crosses] = [rolled(polygon) for polygon in polygons[crosses]]
    return polygons


def short_edges(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges halved until they are nearly straight in longitude and latitude: start, stop, and whose part each is."""
    edge, along, share = np.arange(len(start)), np.zeros(len(start)), 1.0
    found = []
    while len(edge):
        middle = start + stop
        middle /= np.linalg.norm(middle, axis=1, keepdims=True)
        bent = is_bent(start, middle, stop)
        found.append((start[~bent], stop[~bent], edge[~bent], along[~bent]))
        share /= 2
        start, stop = np.concatenate([start[bent], middle[bent]]), np.concatenate([middle[bent], stop[bent]])
        edge, along = np.tile(edge[bent], 2), np.concatenate([along[bent], along[bent] + share])
    start, stop, edge, along = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((along, edge))
    return start[order], stop[order], edge[order]


def is_bent(start: np.ndarray, middle: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Whether (n,) the middle of a great circle's arc is away from the map's straight line between its ends."""
    (south, west), (north, east) = ends(start, stop)
    latitude, longitude = from_vectors(middle)
    narrow = np.cos(np.radians(latitude))
    x, y = (east - west) * narrow, north - south
    middle_x, middle_y = wrap_longitude(longitude - west) * narrow, latitude - south
    length = np.hypot(x, y)
    away = np.abs(x * middle_y - y * middle_x) / length
    allowed = np.minimum(EDGE_ERROR_KM, EDGE_ERROR_SHARE * length * KM_PER_DEGREE)
    return (away * KM_PER_DEGREE > allowed) | (length > LONGEST_DEGREES)


def ends(start: np.ndarray, stop: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Latitude and longitude of both ends of short edges, the second end's longitude within 180 degrees of the first's.

    A pole has the longitude of the edge's other end: the edge is a meridian.
    """
    (latitude_a, longitude_a), (latitude_b, longitude_b) = from_vectors(start), from_vectors(stop)
    longitude_a = np.where(np.abs(latitude_a) > AT_POLE, longitude_b, longitude_a)
    longitude_b = np.where(np.abs(latitude_b) > AT_POLE, longitude_a, longitude_b)
    return (latitude_a, longitude_a), (latitude_b, longitude_a + wrap_longitude(longitude_b - longitude_a))


def with_poles(start: np.ndarray, stop: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices of the rings: latitude, longitude, cell. A corner at a pole is two, for it is a line on the map."""
    (latitude, longitude), (latitude_b, longitude_b) = ends(start, stop)
    pole = np.flatnonzero(np.abs(latitude_b) > AT_POLE)
    columns = ((latitude, latitude_b), (longitude, longitude_b), (cell, cell))
    latitude, longitude, cell = (np.insert(own, pole + 1, other[pole]) for own, other in columns)
    return latitude, longitude, cell


def unrolled_rings(
    latitude: np.ndarray, longitude: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings whose longitudes go on beyond 180 degrees instead of jumping; one around a pole is closed along it."""
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    last = np.append(first[1:], len(cell)) - 1
    turns = np.round(np.diff(longitude, prepend=0) / 360)
    turns[first] = 0
    turned = np.cumsum(turns)
    longitude = longitude - 360 * (turned - turned[first][cell])
    around = np.round((longitude[first] - longitude[last]) / 360)
    polar = np.flatnonzero(around)
    begin = first[polar]
    end_longitude, pole = longitude[begin] - 360 * around[polar], np.sign(latitude[begin]) * 90
    place = np.repeat(last[polar] + 1, 3)
    latitude = np.insert(latitude, place, np.column_stack([latitude[begin], pole, pole]).ravel())
    longitude = np.insert(longitude, place, np.column_stack([end_longitude, end_longitude, longitude[begin]]).ravel())
    return latitude, longitude, np.insert(cell, place, np.repeat(polar, 3))
