"""Candidate cuts of a cell: between density clusters (OPTICS), along a great circle, around its fullest place."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import cKDTree

from homing.geocells.geometry.arcs import Arcs
from homing.geocells.geometry.places import Places
from homing.geocells.geometry.voronoi import TOLERANCE_KM, TOLERANCE_SHARE, label_borders, tangent_frame
from homing.optics import optics_clusters
from homing.sphere import EARTH_RADIUS_KM

MAX_CLUSTERED_PLACES = 6000  # OPTICS is quadratic: a larger cell is cut in two first
DIRECTIONS = np.radians([0, 90, 45, 135, 22.5, 112.5, 67.5, 157.5])  # of great-circle cuts, from the longest axis
SHARES = (1 / 2, 1 / 3, 2 / 3)  # of the photos on one side of a cut
MIN_GAP = 1e-9  # radians; no cut is made between places closer than this


def candidate_cuts(
    places: Places, min_photos: int, optics: Sequence[tuple[float, float]], reach: float
) -> Iterator[Arcs]:
    """Yield borders between groups of at least `min_photos` photos each, the best first.

    optics: pairs of min_samples and xi. The borders are complete within `reach` (radians) of the mean of the places.
    """
    if len(places) <= MAX_CLUSTERED_PLACES:
        for min_samples, xi in optics:
            if len(places) > 2 * int(min_samples):
                clusters = optics_clusters(EARTH_RADIUS_KM * places.vectors, int(min_samples), xi)
                labels = grow_clusters(places, clusters, min_photos)
                if labels is not None:
                    yield label_borders(places.vectors, labels, reach)
    yield from great_circle_cuts(places, min_photos, reach)
    yield from cut_around_fullest(places, min_photos, reach)


def cut_around_fullest(places: Places, min_photos: int, reach: float) -> Iterator[Arcs]:
    """Yield the border around the fullest place, joined by the nearest ones if it has too few photos; or nothing."""
    distance = np.linalg.norm(places.vectors - places.vectors[places.photos.argmax()], axis=1)
    order = np.argsort(distance, kind="stable")
    within = np.cumsum(places.photos[order])
    inner = int(np.searchsorted(within, min_photos)) + 1
    if inner < len(places) and within[-1] - within[inner - 1] >= min_photos:
        yield label_borders(places.vectors, np.isin(np.arange(len(places)), order[:inner]).astype(int), reach)


def grow_clusters(places: Places, clusters: np.ndarray, min_photos: int) -> np.ndarray | None:
    """Turn cluster labels (-1 is noise) into groups 0..k-1 of at least `min_photos` photos; None if k is below 2.

    Clusters with enough photos are kept. All other places form one more group if they have enough photos together, else
    each joins the cluster of the nearest kept place.
    """
    sizes = np.bincount(clusters + 1, places.photos)[1:]
    kept = np.flatnonzero(sizes >= min_photos)
    number = np.full(len(sizes) + 1, -1)
    number[kept] = np.arange(len(kept))
    labels = number[clusters]  # noise, -1, is the last entry
    rest = labels < 0
    rest_is_group = places.photos[rest].sum() >= min_photos
    if not len(kept) or len(kept) + rest_is_group < 2:
        return None
    if rest_is_group:
        labels[rest] = len(kept)
    elif rest.any():
        labels[rest] = labels[~rest][cKDTree(places.vectors[~rest]).query(places.vectors[rest])[1]]
    return labels


def great_circle_cuts(places: Places, min_photos: int, reach: float) -> Iterator[Arcs]:
    """Yield great circles with `min_photos` photos or more on both sides; across the longest axis, in halves, first."""
    centre, east, north = tangent_frame(places.vectors)
    plane = np.column_stack([places.vectors @ east, places.vectors @ north])
    plane -= np.average(plane, axis=0, weights=places.photos)
    _, axes = np.linalg.eigh((plane * places.photos[:, None]).T @ plane)
    longest = np.arctan2(axes[1, 1], axes[0, 1]) % np.pi  # the sign of an eigenvector is arbitrary
    for share in SHARES:
        for direction in longest + DIRECTIONS:
            axis = np.cos(direction) * east + np.sin(direction) * north
            cut = _great_circle_cut(places, centre, axis, min_photos, share, reach)
            if cut is not None:
                yield cut


def _great_circle_cut(
    places: Places, centre: np.ndarray, axis: np.ndarray, min_photos: int, share: float, reach: float
) -> Arcs | None:
    """Return the great circle at right angles to an axis that has nearest to `share` of the photos on one side.

    centre, axis: orthogonal unit vectors (3,). The circle is a meridian of the globe whose pole is orthogonal to both,
    half-way between two places. None if no circle leaves `min_photos` on both sides.
    """
    along = np.arctan2(places.vectors @ axis, places.vectors @ centre)
    order = np.argsort(along, kind="stable")
    below, gap = np.cumsum(places.photos[order])[:-1], np.diff(along[order])
    total = places.photos.sum()
    possible = np.flatnonzero((below >= min_photos) & (below <= total - min_photos) & (gap > MIN_GAP))
    if not len(possible):
        return None
    best = possible[np.abs(below[possible] - share * total).argmin()]
    angle = along[order[best]] + gap[best] / 2
    midpoint = np.cos(angle) * centre + np.sin(angle) * axis
    pole = np.cross(centre, axis)
    tolerance = min(TOLERANCE_KM, TOLERANCE_SHARE * EARTH_RADIUS_KM * gap[best])
    origin, direction = np.stack([midpoint, midpoint]), np.stack([pole, -pole])
    if 2 * reach >= np.pi / 2:  # also on the far side of the globe, where angles jump from pi to -pi
        origin, direction = np.concatenate([origin, [-centre, -centre]]), np.tile(direction, (2, 1))
    length = np.full(len(origin), min(2 * reach, np.pi / 2))
    return Arcs.rays(origin, direction, length, np.full(len(origin), tolerance))
