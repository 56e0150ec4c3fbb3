"""Voronoi borders on the sphere between places with different labels.

The Delaunay triangulation on the sphere is that of the plane after a stereographic projection, which maps circles to
circles; vertices of Voronoi polygons are the circumcentres of the triangles (Brown 1979, "Voronoi diagrams from convex
hulls"). Only edges between different labels are computed: they are few, and polygons of single places are not needed.
Places that span more than a hemisphere have borders all over the globe, which are taken from the convex hull instead.
"""

import numpy as np
from scipy.spatial import ConvexHull, Delaunay, QhullError

from homing.geocells.geometry.arcs import Arcs
from homing.sphere import EARTH_RADIUS_KM

TOLERANCE_KM = 0.001  # of a border,
TOLERANCE_SHARE = 0.05  # and the most as a share of the distance between its two places, which may be very near


def label_borders(vectors: np.ndarray, labels: np.ndarray, reach: float) -> Arcs:
    """Return the borders between distinct places (n, 3; unit vectors) with different labels (n,), as arcs.

    They are complete within `reach` (radians) of the mean of the places.
    """
    centre, east, north = tangent_frame(vectors)
    if reach > np.pi / 2 or (vectors @ centre).min() < 0:
        return _around_globe(vectors, labels)
    height = 1 + vectors @ centre
    plane = np.column_stack([vectors @ east, vectors @ north]) / height[:, None]
    extent = np.abs(plane).max()
    try:
        if len(plane) < 3:
            return _chain(vectors, plane, labels, reach)
        triangles = Delaunay(plane / extent)
    except QhullError:  # all on one line
        return _chain(vectors, plane, labels, reach)
    return _of_triangles(vectors, labels, triangles, centre, reach)


def tangent_frame(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean direction of unit vectors, and two directions that complete it to a right-handed basis."""
    mean = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    centre = mean / length if length > 1e-9 else vectors[0]
    east = np.cross([0.0, 0.0, 1.0] if abs(centre[2]) < 0.9 else [1.0, 0.0, 0.0], centre)
    east /= np.linalg.norm(east)
    return centre, east, np.cross(centre, east)


def _of_triangles(
    vectors: np.ndarray, labels: np.ndarray, triangles: Delaunay, centre: np.ndarray, reach: float
) -> Arcs:
    """Return the Voronoi edges of a Delaunay triangulation: arcs between circumcentres, and rays on its rim."""
    corners, neighbours = triangles.simplices, triangles.neighbors
    first, second, third = (vectors[corners[:, number]] for number in range(3))
    centres = _unit(np.cross(second - first, third - first))  # Qhull's triangles turn counterclockwise
    triangle, opposite = _label_edges(corners, neighbours, labels)
    start, end = corners[triangle, (opposite + 1) % 3], corners[triangle, (opposite + 2) % 3]
    neighbour = neighbours[triangle, opposite]
    difference = vectors[end] - vectors[start]
    between = neighbour >= 0
    inner = Arcs(centres[triangle[between]], centres[neighbour[between]], _tolerance(difference[between]))
    rim = ~between  # Voronoi edges at the rim are rays
    origin = centres[triangle[rim]]
    length = np.minimum(np.arccos(np.clip(origin @ centre, -1, 1)) + reach, np.pi)
    rays = Arcs.rays(origin, _unit(np.cross(difference[rim], origin)), length, _tolerance(difference[rim]))
    return inner + rays


def _label_edges(corners: np.ndarray, neighbours: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges between different labels, each once: its triangle, and the corner of it opposite the edge."""
    start, end = (labels[np.roll(corners, -shift, axis=1)] for shift in (1, 2))
    triangle, opposite = np.nonzero(
        (start != end) & ((neighbours > np.arange(len(corners))[:, None]) | (neighbours < 0))
    )
    return triangle, opposite


def _around_globe(vectors: np.ndarray, labels: np.ndarray) -> Arcs:
    """Return all borders on the globe, between circumcentres of the hull's facets; it may merge very near places."""
    try:
        if len(vectors) < 4:
            return _circle(vectors, labels)
        hull = ConvexHull(vectors)
    except QhullError:  # all on one circle
        return _circle(vectors, labels)
    triangle, opposite = _label_edges(hull.simplices, hull.neighbors, labels)
    third, start, end = (vectors[hull.simplices[triangle, (opposite + shift) % 3]] for shift in range(3))
    difference, origin = end - start, hull.equations[triangle, :3]
    target = hull.equations[hull.neighbors[triangle, opposite], :3]
    aside = np.cross(difference, origin)
    aside = _unit(-np.sign(((third - start) * aside).sum(axis=1))[:, None] * aside)
    half = np.arctan2((target * aside).sum(axis=1), (target * origin).sum(axis=1))[:, None] / 2
    midpoint, tolerance = origin * np.cos(half) + aside * np.sin(half), _tolerance(difference)
    return Arcs(origin, midpoint, tolerance) + Arcs(midpoint, target, tolerance)


def _circle(vectors: np.ndarray, labels: np.ndarray) -> Arcs:
    """Return the borders of places on one circle: half great circles between the poles of the circle."""
    _, _, (first_axis, second_axis, _) = np.linalg.svd(vectors - vectors.mean(axis=0))
    pole = np.cross(first_axis, second_axis)
    order = np.argsort(np.arctan2(vectors @ second_axis, vectors @ first_axis), kind="stable")
    before, after = order, np.roll(order, -1)
    wanted = labels[before] != labels[after]
    difference = vectors[after[wanted]] - vectors[before[wanted]]
    midpoint, poles = _unit(np.cross(difference, pole)), np.broadcast_to(pole, difference.shape)
    tolerance = _tolerance(difference)
    return Arcs(poles, midpoint, tolerance) + Arcs(midpoint, -poles, tolerance)


def _chain(vectors: np.ndarray, plane: np.ndarray, labels: np.ndarray, reach: float) -> Arcs:
    """Return the borders of places on one line: great circles between each and the next."""
    _, axes = np.linalg.eigh(np.cov(plane.T) if len(plane) > 1 else np.eye(2))
    order = np.argsort((plane - plane.mean(axis=0)) @ axes[:, 1], kind="stable")
    before, after = order[:-1], order[1:]
    wanted = labels[before] != labels[after]
    before, after = vectors[before[wanted]], vectors[after[wanted]]
    difference, origin = after - before, _unit(after + before)
    aside, length = _unit(np.cross(difference, origin)), np.full(len(difference), min(2 * reach, np.pi))
    tolerance = _tolerance(difference)
    return Arcs.rays(origin, aside, length, tolerance) + Arcs.rays(origin, -aside, length, tolerance)


def _tolerance(difference: np.ndarray) -> np.ndarray:
    """Return the tolerance in km (n,) of borders between places that differ by vectors (n, 3)."""
    return np.minimum(TOLERANCE_KM, TOLERANCE_SHARE * EARTH_RADIUS_KM * np.linalg.norm(difference, axis=1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
