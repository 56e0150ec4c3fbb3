"""Ways to part the places of one cell: by density clusters (OPTICS), by a great circle across, around a full place."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import cKDTree

from homing.geocells.geometry.arcs import Arcs
from homing.geocells.geometry.voronoi import SHARE, TOLERANCE_KM, label_borders, tangent_frame
from homing.geocells.places import Places
from homing.optics import optics_clusters
from homing.sphere import EARTH_RADIUS_KM

LARGEST_CLUSTERED = 6000  # places; OPTICS is quadratic, so a larger cell is cut in two first
DIRECTIONS = np.radians([0, 90, 45, 135, 22.5, 112.5, 67.5, 157.5])  # of cuts, from the longest axis
SHARES = (1 / 2, 1 / 3, 2 / 3)  # of the photos on one side of a cut
SAME = 1e-9  # radians; no line is drawn between places that close


def partings(places: Places, smallest: int, optics: Sequence[tuple[float, float]], reach: float) -> Iterator[Arcs]:
    """Borders that part the places into groups of at least `smallest` photos, the best way first.

    They are whole within `reach` (radians) of the places' mean.
    """
    if len(places) <= LARGEST_CLUSTERED:
        for min_samples, xi in optics:
            if len(places) > 2 * int(min_samples):
                clusters = optics_clusters(EARTH_RADIUS_KM * places.vectors, int(min_samples), xi)
                labels = grow_clusters(places, clusters, smallest)
                if labels is not None:
                    yield label_borders(places.vectors, labels, reach)
    yield from straight_cuts(places, smallest, reach)
    yield from around_fullest(places, smallest, reach)


def around_fullest(places: Places, smallest: int, reach: float) -> Iterator[Arcs]:
    """The border of the fullest place, with those nearest to it if it has too few photos, to the rest around it."""
    away = np.linalg.norm(places.vectors - places.vectors[places.photos.argmax()], axis=1)
    order = np.argsort(away, kind="stable")
    within = np.cumsum(places.photos[order])
    inner = int(np.searchsorted(within, smallest)) + 1
    if inner < len(places) and within[-1] - within[inner - 1] >= smallest:
        yield label_borders(places.vectors, np.isin(np.arange(len(places)), order[:inner]).astype(int), reach)


def grow_clusters(places: Places, clusters: np.ndarray, smallest: int) -> np.ndarray | None:
    """Labels 0..k-1 (k >= 2) of groups of at least `smallest` photos: large clusters, and the rest if it is one too.

    Where the rest is too small its places join the nearest cluster. None when that leaves fewer than two groups.
    """
    sizes = np.bincount(clusters + 1, places.photos)[1:]
    kept = np.flatnonzero(sizes >= smallest)
    number = np.full(len(sizes) + 1, -1)
    number[kept] = np.arange(len(kept))
    labels = number[clusters]  # noise, -1, is the last entry
    rest = labels < 0
    rest_is_group = places.photos[rest].sum() >= smallest
    if not len(kept) or len(kept) + rest_is_group < 2:
        return None
    if rest_is_group:
        labels[rest] = len(kept)
    elif rest.any():
        labels[rest] = labels[~rest][cKDTree(places.vectors[~rest]).query(places.vectors[rest])[1]]
    return labels


def straight_cuts(places: Places, smallest: int, reach: float) -> Iterator[Arcs]:
    """Great circles with at least `smallest` photos on both sides: across the longest axis and into halves first."""
    centre, east, north = tangent_frame(places.vectors)
    plane = np.column_stack([places.vectors @ east, places.vectors @ north])
    plane -= np.average(plane, axis=0, weights=places.photos)
    _, axes = np.linalg.eigh((plane * places.photos[:, None]).T @ plane)
    longest = np.arctan2(axes[1, 1], axes[0, 1]) % np.pi  # the sign of an eigenvector is arbitrary
    for share in SHARES:
        for direction in longest + DIRECTIONS:
            towards = np.cos(direction) * east + np.sin(direction) * north
            cut = _cut(places, centre, towards, smallest, share, reach)
            if cut is not None:
                yield cut


def _cut(
    places: Places, centre: np.ndarray, towards: np.ndarray, smallest: int, share: float, reach: float
) -> Arcs | None:
    """The meridian between places, of a globe whose pole is at right angles to the centre and the direction."""
    along = np.arctan2(places.vectors @ towards, places.vectors @ centre)
    order = np.argsort(along, kind="stable")
    below, gap = np.cumsum(places.photos[order])[:-1], np.diff(along[order])
    total = places.photos.sum()
    possible = np.flatnonzero((below >= smallest) & (below <= total - smallest) & (gap > SAME))
    if not len(possible):
        return None
    best = possible[np.abs(below[possible] - share * total).argmin()]
    angle = along[order[best]] + gap[best] / 2
    middle = np.cos(angle) * centre + np.sin(angle) * towards
    pole = np.cross(centre, towards)
    tolerance = min(TOLERANCE_KM, SHARE * EARTH_RADIUS_KM * gap[best])
    origin, aside = np.stack([middle, middle]), np.stack([pole, -pole])
    if 2 * reach >= np.pi / 2:  # also on the far side of the globe, where the count of angles begins and ends
        origin, aside = np.concatenate([origin, [-centre, -centre]]), np.tile(aside, (2, 1))
    length = np.full(len(origin), min(2 * reach, np.pi / 2))
    return Arcs.rays(origin, aside, length, np.full(len(origin), tolerance))
