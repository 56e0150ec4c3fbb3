"""Voronoi borders on the sphere: great circles half-way between places, where the places differ in their label.

The Delaunay triangulation on the sphere is that of the plane after a stereographic projection, which turns circles
into circles; corners of Voronoi polygons are the centres of the triangles' circles (Brown 1979, "Voronoi diagrams from
convex hulls"). Only borders between different labels are made: they are few, and polygons of single places are not
needed. Places that reach further than a hemisphere have borders on all of the globe: there the hull itself is made.
"""

import numpy as np
from scipy.spatial import ConvexHull, Delaunay, QhullError

from homing.geocells.geometry.arcs import Arcs
from homing.sphere import EARTH_RADIUS_KM

TOLERANCE_KM = 0.001
SHARE = 0.05  # of the distance between two places, for those closer together than a border may be off


def label_borders(vectors: np.ndarray, labels: np.ndarray, reach: float) -> Arcs:
    """The borders between places (n, 3; unit vectors, no two equal) of different labels (n,), as arcs.

    They are whole within `reach` (radians) of the places' mean.
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
    """The mean direction of unit vectors, and two more at right angles to it and each other (right-handed)."""
    mean = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    centre = mean / length if length > 1e-9 else vectors[0]
    east = np.cross([0.0, 0.0, 1.0] if abs(centre[2]) < 0.9 else [1.0, 0.0, 0.0], centre)
    east /= np.linalg.norm(east)
    return centre, east, np.cross(centre, east)


def _of_triangles(
    vectors: np.ndarray, labels: np.ndarray, triangles: Delaunay, centre: np.ndarray, reach: float
) -> Arcs:
    corners, neighbours = triangles.simplices, triangles.neighbors
    first, second, third = (vectors[corners[:, number]] for number in range(3))
    centres = _unit(np.cross(second - first, third - first))  # Qhull's triangles turn counterclockwise
    triangle, opposite = _wanted(corners, neighbours, labels)
    start, end = corners[triangle, (opposite + 1) % 3], corners[triangle, (opposite + 2) % 3]
    neighbour = neighbours[triangle, opposite]
    across = vectors[end] - vectors[start]
    between = neighbour >= 0
    inner = Arcs(centres[triangle[between]], centres[neighbour[between]], _tolerance(across[between]))
    rim = ~between  # there borders go on for ever
    origin = centres[triangle[rim]]
    length = np.minimum(np.arccos(np.clip(origin @ centre, -1, 1)) + reach, np.pi)
    rays = Arcs.rays(origin, _unit(np.cross(across[rim], origin)), length, _tolerance(across[rim]))
    return inner + rays


def _wanted(corners: np.ndarray, neighbours: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges between different labels, each once: a triangle, and which of its corners lies opposite."""
    start, end = (labels[np.roll(corners, -turn, axis=1)] for turn in (1, 2))
    return np.nonzero((start != end) & ((neighbours > np.arange(len(corners))[:, None]) | (neighbours < 0)))


def _around_globe(vectors: np.ndarray, labels: np.ndarray) -> Arcs:
    """All borders on the globe, between the centres of the hull's triangles; places within metres may count as one."""
    try:
        if len(vectors) < 4:
            return _circle(vectors, labels)
        hull = ConvexHull(vectors)
    except QhullError:  # all on one circle
        return _circle(vectors, labels)
    triangle, opposite = _wanted(hull.simplices, hull.neighbors, labels)
    third, start, end = (vectors[hull.simplices[triangle, (opposite + turn) % 3]] for turn in range(3))
    across, origin = end - start, hull.equations[triangle, :3]
    target = hull.equations[hull.neighbors[triangle, opposite], :3]
    aside = np.cross(across, origin)
    aside = _unit(-np.sign(((third - start) * aside).sum(axis=1))[:, None] * aside)
    half = np.arctan2((target * aside).sum(axis=1), (target * origin).sum(axis=1))[:, None] / 2
    middle, tolerance = origin * np.cos(half) + aside * np.sin(half), _tolerance(across)
    return Arcs(origin, middle, tolerance) + Arcs(middle, target, tolerance)


def _circle(vectors: np.ndarray, labels: np.ndarray) -> Arcs:
    """Places on one circle: half great circles between its poles."""
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0))
    towards, aside, pole = axes
    pole = np.cross(towards, aside)
    order = np.argsort(np.arctan2(vectors @ aside, vectors @ towards), kind="stable")
    before, after = order, np.roll(order, -1)
    wanted = labels[before] != labels[after]
    across = vectors[after[wanted]] - vectors[before[wanted]]
    middle, pole, tolerance = _unit(np.cross(across, pole)), np.broadcast_to(pole, across.shape), _tolerance(across)
    return Arcs(pole, middle, tolerance) + Arcs(middle, -pole, tolerance)


def _chain(vectors: np.ndarray, plane: np.ndarray, labels: np.ndarray, reach: float) -> Arcs:
    """Places on one line: great circles between each and the next."""
    _, axes = np.linalg.eigh(np.cov(plane.T) if len(plane) > 1 else np.eye(2))
    order = np.argsort((plane - plane.mean(axis=0)) @ axes[:, 1], kind="stable")
    before, after = order[:-1], order[1:]
    wanted = labels[before] != labels[after]
    before, after = vectors[before[wanted]], vectors[after[wanted]]
    across, origin = after - before, _unit(after + before)
    aside, length = _unit(np.cross(across, origin)), np.full(len(across), min(2 * reach, np.pi))
    return Arcs.rays(origin, aside, length, _tolerance(across)) + Arcs.rays(origin, -aside, length, _tolerance(across))


def _tolerance(across: np.ndarray) -> np.ndarray:
    return np.minimum(TOLERANCE_KM, SHARE * EARTH_RADIUS_KM * np.linalg.norm(across, axis=1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
