"""Polygons in degrees of cells whose edges are great circles, cut at 180 degrees and closed along a pole."""

import numpy as np
import shapely

from homing.geocells.geometry.land import wrap_antimeridian
from homing.sphere import KM_PER_DEGREE, from_vectors, wrap_longitude

EDGE_ERROR_KM = 0.1  # largest distance of a straight line in degrees from the great circle,
EDGE_ERROR_SHARE = 0.01  # and the largest as a share of its length
MAX_EDGE_DEGREES = 5  # longer edges are always halved: the midpoint of an S across the equator is on the line
AT_POLE = 90 - 1e-9  # degrees
NO_WIDTH = 1e-9  # degrees; less than this beyond 180 is rounding


def outlines(corner: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return polygons (cells,), EPSG:4326, of cells with corners (corners, 3) on the unit sphere.

    cell: (corners,) number of the corner's cell, ascending, each of 0..cells-1. Corners are in order around a cell.
    """
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    following = np.arange(1, len(cell) + 1)
    following[np.append(first[1:], len(cell)) - 1] = first
    start, stop, edge = subdivide_edges(corner, corner[following])
    latitude, longitude, cell = insert_poles(start, stop, cell[edge])
    latitude, longitude, cell = unwrap_rings(latitude, longitude, cell)
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    longitude += 360 * (np.minimum.reduceat(longitude, first) < -180 - NO_WIDTH)[cell]
    crosses = np.maximum.reduceat(longitude, first) > 180 + NO_WIDTH
    longitude = np.where(crosses[cell], longitude, np.clip(longitude, -180, 180))
    rings = shapely.linearrings(np.column_stack([longitude, latitude]), indices=cell)
    polygons = shapely.polygons(rings)
    polygons[crosses] = [wrap_antimeridian(polygon) for polygon in polygons[crosses]]
    return polygons


def subdivide_edges(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Halve edges until they are nearly straight in degrees; return start, stop and the original edge of each."""
    edge, along, share = np.arange(len(start)), np.zeros(len(start)), 1.0
    found = []
    while len(edge):
        midpoint = start + stop
        midpoint /= np.linalg.norm(midpoint, axis=1, keepdims=True)
        bent = is_bent(start, midpoint, stop)
        found.append((start[~bent], stop[~bent], edge[~bent], along[~bent]))
        share /= 2
        start, stop = np.concatenate([start[bent], midpoint[bent]]), np.concatenate([midpoint[bent], stop[bent]])
        edge, along = np.tile(edge[bent], 2), np.concatenate([along[bent], along[bent] + share])
    start, stop, edge, along = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((along, edge))
    return start[order], stop[order], edge[order]


def is_bent(start: np.ndarray, midpoint: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return whether (n,) the midpoint of an arc is too far from the straight line in degrees between its ends."""
    (south, west), (north, east) = edge_ends(start, stop)
    latitude, longitude = from_vectors(midpoint)
    shrink = np.cos(np.radians(latitude))
    x, y = (east - west) * shrink, north - south
    midpoint_x, midpoint_y = wrap_longitude(longitude - west) * shrink, latitude - south
    length = np.hypot(x, y)
    deviation = np.abs(x * midpoint_y - y * midpoint_x) / length
    allowed = np.minimum(EDGE_ERROR_KM, EDGE_ERROR_SHARE * length * KM_PER_DEGREE)
    return (deviation * KM_PER_DEGREE > allowed) | (length > MAX_EDGE_DEGREES)


def edge_ends(
    start: np.ndarray, stop: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return latitude and longitude of both ends of edges, the second longitude within 180 degrees of the first.

    A pole gets the longitude of the other end: such an edge is a meridian.
    """
    (latitude_a, longitude_a), (latitude_b, longitude_b) = from_vectors(start), from_vectors(stop)
    longitude_a = np.where(np.abs(latitude_a) > AT_POLE, longitude_b, longitude_a)
    longitude_b = np.where(np.abs(latitude_b) > AT_POLE, longitude_a, longitude_b)
    return (latitude_a, longitude_a), (latitude_b, longitude_a + wrap_longitude(longitude_b - longitude_a))


def insert_poles(start: np.ndarray, stop: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitude, longitude and cell of the rings' vertices; a corner at a pole becomes two."""
    (latitude, longitude), (latitude_b, longitude_b) = edge_ends(start, stop)
    pole = np.flatnonzero(np.abs(latitude_b) > AT_POLE)
    columns = ((latitude, latitude_b), (longitude, longitude_b), (cell, cell))
    latitude, longitude, cell = (np.insert(own, pole + 1, other[pole]) for own, other in columns)
    return latitude, longitude, cell


def unwrap_rings(
    latitude: np.ndarray, longitude: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unwrap the longitudes of rings, which may then exceed 180; close a ring around a pole along the pole."""
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    last = np.append(first[1:], len(cell)) - 1
    jumps = np.round(np.diff(longitude, prepend=0) / 360)
    jumps[first] = 0
    total = np.cumsum(jumps)
    longitude = longitude - 360 * (total - total[first][cell])
    around = np.round((longitude[first] - longitude[last]) / 360)
    polar = np.flatnonzero(around)
    begin = first[polar]
    end_longitude, pole = longitude[begin] - 360 * around[polar], np.sign(latitude[begin]) * 90
    place = np.repeat(last[polar] + 1, 3)
    latitude = np.insert(latitude, place, np.column_stack([latitude[begin], pole, pole]).ravel())
    longitude = np.insert(longitude, place, np.column_stack([end_longitude, end_longitude, longitude[begin]]).ravel())
    return latitude, longitude, np.insert(cell, place, np.repeat(polar, 3))
