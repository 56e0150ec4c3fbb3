"""Great-circle arcs, and polylines in degrees that approximate them within a tolerance."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from homing.sphere import EARTH_RADIUS_KM

MARGIN = 1e-6  # radians; tolerance of the test whether an arc is near
MAX_DEPTH = 24  # halvings of an arc; one through a pole never becomes straight


@dataclass(frozen=True)
class Arcs:
    """Arcs of great circles, each shorter than half a circle. Arcs that meet have bitwise equal ends."""

    start: np.ndarray  # (n, 3) unit vectors
    end: np.ndarray  # (n, 3)
    tolerance_km: np.ndarray  # (n,) largest distance of a polyline from its arc

    @classmethod
    def rays(cls, origin: np.ndarray, direction: np.ndarray, angle: np.ndarray, tolerance_km: np.ndarray) -> "Arcs":
        """Return arcs from unit vectors (n, 3) in orthogonal directions (n, 3), `angle` (n,) up to pi long.

        Each ray is two arcs, since an arc is shorter than half a circle.
        """
        angles = np.asarray(angle) / 2, angle
        midpoint, end = (origin * np.cos(part)[:, None] + direction * np.sin(part)[:, None] for part in angles)
        return cls(np.concatenate([origin, midpoint]), np.concatenate([midpoint, end]), np.tile(tolerance_km, 2))

    def __getitem__(self, rows: np.ndarray) -> "Arcs":
        return Arcs(self.start[rows], self.end[rows], self.tolerance_km[rows])

    def __add__(self, other: "Arcs") -> "Arcs":
        parts = (self.start, other.start), (self.end, other.end), (self.tolerance_km, other.tolerance_km)
        return Arcs(*map(np.concatenate, parts))

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def angle(self) -> np.ndarray:
        """Length of each arc in radians, (n,)."""
        sine = np.linalg.norm(np.cross(self.start, self.end), axis=1)
        return np.arctan2(sine, (self.start * self.end).sum(axis=1))

    def at(self, number: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Return unit vectors (m, 3) at shares (m,) of the arcs `number` (m,); bitwise the ends at 0 and 1."""
        angle = self.angle[number]
        sine = np.where(angle > 0, np.sin(angle), 1.0)
        before = np.where(angle > 0, np.sin((1 - share) * angle) / sine, 1 - share)
        after = np.where(angle > 0, np.sin(share * angle) / sine, share)
        return before[:, None] * self.start[number] + after[:, None] * self.end[number]


def lines(arcs: Arcs, centre: np.ndarray, radius: float, central_longitude: float) -> np.ndarray:
    """Return straight LineStrings (longitude, latitude) that approximate arcs within the tolerance of each.

    Only what is within `radius` (radians) of a centre (3,) is drawn. Longitudes are within 180 degrees of
    `central_longitude`; a line that leaves this range is returned twice, the second time shifted by 360 degrees.
    """
    number, begin, end = np.arange(len(arcs)), np.zeros(len(arcs)), np.ones(len(arcs))
    drawn = []
    for depth in range(MAX_DEPTH + 1):
        midpoint = arcs.at(number, (begin + end) / 2)
        half = arcs.angle[number] * (end - begin) / 2
        near = np.arccos(np.clip(midpoint @ centre, -1, 1)) <= radius + half + MARGIN
        number, begin, end, midpoint = number[near], begin[near], end[near], midpoint[near]
        start, stop = arcs.at(number, begin), arcs.at(number, end)
        quarter = arcs.at(number, 0.75 * begin + 0.25 * end)  # the midpoint of an S across the equator is on the line
        deviation_km = np.maximum(_deviation_km(start, midpoint, stop, 0.5), _deviation_km(start, quarter, stop, 0.25))
        bent = (depth < MAX_DEPTH) & (deviation_km > arcs.tolerance_km[number])
        drawn.append(np.stack([start[~bent], stop[~bent]], axis=1))
        number, begin, end = number[bent], begin[bent], end[bent]
        number, begin, end = _halve(number, begin, end)
    return _line_strings(np.concatenate(drawn), central_longitude)


def _halve(number: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split intervals of arcs in the midpoint."""
    half = (begin + end) / 2
    return np.tile(number, 2), np.concatenate([begin, half]), np.concatenate([half, end])


def _deviation_km(start: np.ndarray, point: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """Return the distance (n,) of a point of an arc from the point at `share` of the straight line in degrees."""
    (lat_a, lon_a), (lat, lon), (lat_b, lon_b) = (_radians(vectors) for vectors in (start, point, end))
    north = (1 - share) * lat_a + share * lat_b - lat
    east = (1 - share) * _wrap(lon_a - lon) + share * _wrap(lon_b - lon)
    return EARTH_RADIUS_KM * np.hypot(north, np.cos(lat) * east)


def _line_strings(ends: np.ndarray, central_longitude: float) -> np.ndarray:
    """Return LineStrings between unit vectors (n, 2, 3), the short way. Shifts by 360 keep equal ends equal."""
    latitude, longitude = (np.degrees(part).reshape(-1, 2) for part in _radians(ends.reshape(-1, 3)))
    shifts = -np.round((longitude - central_longitude) / 360)
    shifts[:, 1] = shifts[:, 0] - np.round((longitude[:, 1] - longitude[:, 0]) / 360)
    degrees = np.stack([longitude + 360 * shifts, latitude], axis=2)
    copies = [degrees]
    for shift, beyond in (
        (-360, degrees[..., 0].max(axis=1) > central_longitude + 180),
        (360, degrees[..., 0].min(axis=1) < central_longitude - 180),
    ):
        copies.append(degrees[beyond] + np.array([shift, 0]))
    return shapely.linestrings(np.concatenate(copies))


def _radians(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return latitude and longitude in radians."""
    x, y, z = vectors.T
    return np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)


def _wrap(angle: np.ndarray) -> np.ndarray:
    """Wrap angles in radians to [-pi, pi]."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))
