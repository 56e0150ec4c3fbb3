"""k-means within each country: cells are the Voronoi regions of the centroids."""

import numpy as np
from scipy.spatial import cKDTree

from homing.geocells.geometry.land import union
from homing.geocells.geometry.places import Places
from homing.geocells.geometry.tessellation import collect, cut, interior_points, locate, overlapping_areas, reach
from homing.geocells.geometry.voronoi import label_borders
from homing.geocells.methods.country import Cells, Country, Settings
from homing.labels.curve import curve_order
from homing.sphere import from_vectors, wrap_longitude

MAX_ITERATIONS = 50  # of Lloyd's algorithm


def kmeans_cells(country: Country, settings: Settings) -> Cells:
    """Return cells around centroids, one per geometric mean of `min_photos` and `max_photos` photos."""
    places = country.places
    photos_per_cell = np.sqrt(settings["min_photos"] * settings["max_photos"])
    centroids = lloyd(places, min(len(places), centroid_count(places.photos.sum(), photos_per_cell)))
    land = union(country.geometry)
    borders = label_borders(centroids.vectors, np.arange(len(centroids)), reach(land, centroids))
    pieces = np.concatenate(cut(land, centroids, borders))
    _, nearest = cKDTree(centroids.vectors).query(interior_points(pieces))
    _, cell = np.unique(nearest, return_inverse=True)
    cells = collect(pieces, cell)
    rows = np.arange(len(country.areas))
    areas = [overlapping_areas(shape, rows, country.geometry) for shape in cells]
    return Cells(cells, cell[locate(pieces, places)], areas)


def centroid_count(photos: int, photos_per_cell: float) -> int:
    """Return the number of centroids of a country with so many photos, at least 1."""
    return max(1, round(photos / photos_per_cell))


def lloyd(places: Places, count: int) -> Places:
    """Return centroids of k-means on the sphere by Lloyd's algorithm, at most `count` and all distinct.

    They start evenly spread over the photos along a space-filling curve: the result is deterministic.
    """
    order = curve_order(places.latitude, wrap_longitude(places.longitude))
    cumulative = np.cumsum(places.photos[order])
    start = np.searchsorted(cumulative, (np.arange(count) + 0.5) / count * cumulative[-1])
    centroids = places.vectors[order[np.unique(start)]]
    previous = None
    for _ in range(MAX_ITERATIONS):
        nearest = cKDTree(centroids).query(places.vectors)[1]
        if previous is not None and (nearest == previous).all():
            break
        sums = np.stack(
            [np.bincount(nearest, places.photos * part, len(centroids)) for part in places.vectors.T], axis=1
        )
        held = np.bincount(nearest, minlength=len(centroids)) > 0
        centroids = sums[held] / np.linalg.norm(sums[held], axis=1, keepdims=True)
        previous = nearest if held.all() else None  # numbers change when an empty centroid is dropped
    latitude, longitude = from_vectors(centroids)
    return Places.of(latitude, longitude)[0]
