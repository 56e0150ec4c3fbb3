"""k-means inside countries: as many centres as its photos ask for, and the land nearest to each."""

import numpy as np
from scipy.spatial import cKDTree

from homing.geocells.country import Cells, Country, Settings
from homing.geocells.geometry.land import union
from homing.geocells.geometry.voronoi import label_borders
from homing.geocells.methods.divide import areas_of, collected, cut, inside, located, reach
from homing.geocells.places import Places
from homing.labels.curve import curve_order
from homing.sphere import from_vectors, wrap_longitude

ROUNDS = 50  # of Lloyd's algorithm, at most


def kmeans_cells(country: Country, settings: Settings) -> Cells:
    """Cells around centres of as many photos as lie between `min_photos` and `max_photos` (their geometric mean)."""
    places = country.places
    each = np.sqrt(settings["min_photos"] * settings["max_photos"])
    centres = lloyd(places, min(len(places), centre_count(places.photos.sum(), each)))
    land = union(country.geometry)
    faces, islands = cut(land, centres, label_borders(centres.vectors, np.arange(len(centres)), reach(land, centres)))
    pieces = np.concatenate([faces, islands])
    _, centre = cKDTree(centres.vectors).query(inside(pieces))
    _, cell = np.unique(centre, return_inverse=True)
    cells = collected(pieces, cell)
    rows = np.arange(len(country.areas))
    return Cells(cells, cell[located(pieces, places)], [areas_of(one, rows, country.geometry) for one in cells])


def centre_count(photos: int, each: float) -> int:
    """How many centres a country of so many photos has."""
    return max(1, round(photos / each))


def lloyd(places: Places, count: int) -> Places:
    """Centres of k-means on the sphere, no more than `count` and no two at one place.

    They begin spread evenly over the photos along a space-filling curve, so that nothing is left to chance.
    """
    order = curve_order(places.latitude, wrap_longitude(places.longitude))
    before = np.cumsum(places.photos[order])
    start = np.searchsorted(before, (np.arange(count) + 0.5) / count * before[-1])
    centres = places.vectors[order[np.unique(start)]]
    nearest = None
    for _ in range(ROUNDS):
        found = cKDTree(centres).query(places.vectors)[1]
        if nearest is not None and (found == nearest).all():
            break
        nearest = found
        sums = np.stack([np.bincount(found, places.photos * part, len(centres)) for part in places.vectors.T], axis=1)
        held = np.bincount(found, minlength=len(centres)) > 0
        centres = sums[held] / np.linalg.norm(sums[held], axis=1, keepdims=True)
        nearest = nearest if held.all() else None
    latitude, longitude = from_vectors(centres)
    return Places.of(latitude, longitude)[0]
