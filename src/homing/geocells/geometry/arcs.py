"""Great circles as lines of a map: arcs on the sphere become lines in degrees that follow them closely."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from homing.sphere import EARTH_RADIUS_KM

MARGIN = 1e-6  # radians; what is that close to being near is near
DEEPEST = 24  # halvings of an arc; one that passes a pole never becomes straight


@dataclass(frozen=True)
class Arcs:
    """Pieces of great circles, each shorter than half of one. Arcs that meet have the very same ends."""

    start: np.ndarray  # (n, 3) unit vectors
    end: np.ndarray  # (n, 3)
    tolerance_km: np.ndarray  # (n,) how far a line may be from its arc

    @classmethod
    def rays(cls, origin: np.ndarray, towards: np.ndarray, angle: np.ndarray, tolerance_km: np.ndarray) -> "Arcs":
        """From unit vectors (n, 3) in the direction of others at right angles to them, up to half a circle each."""
        middle, end = (
            origin * np.cos(part)[:, None] + towards * np.sin(part)[:, None] for part in (np.asarray(angle) / 2, angle)
        )
        return cls(np.concatenate([origin, middle]), np.concatenate([middle, end]), np.tile(tolerance_km, 2))

    def __getitem__(self, rows: np.ndarray) -> "Arcs":
        return Arcs(self.start[rows], self.end[rows], self.tolerance_km[rows])

    def __add__(self, other: "Arcs") -> "Arcs":
        parts = (self.start, other.start), (self.end, other.end), (self.tolerance_km, other.tolerance_km)
        return Arcs(*map(np.concatenate, parts))

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def angle(self) -> np.ndarray:
        """How long each is (radians)."""
        across = np.linalg.norm(np.cross(self.start, self.end), axis=1)
        return np.arctan2(across, (self.start * self.end).sum(axis=1))

    def at(self, number: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Unit vectors (m, 3) at shares of the way along arcs by number; at 0 and 1 the ends to the bit."""
        angle = self.angle[number]
        sine = np.where(angle > 0, np.sin(angle), 1.0)
        before = np.where(angle > 0, np.sin((1 - share) * angle) / sine, 1 - share)
        after = np.where(angle > 0, np.sin(share * angle) / sine, share)
        return before[:, None] * self.start[number] + after[:, None] * self.end[number]


def lines(arcs: Arcs, centre: np.ndarray, radius: float, middle_longitude: float) -> np.ndarray:
    """Straight lines (longitude, latitude) that follow arcs within each one's tolerance, where these are near.

    Only what is within `radius` (radians) of a centre (3,) is drawn. Longitudes lie around `middle_longitude`; a line
    that leaves the 360 degrees around it is there once more, a turn further.
    """
    number, begin, end = np.arange(len(arcs)), np.zeros(len(arcs)), np.ones(len(arcs))
    drawn = []
    for depth in range(DEEPEST + 1):
        middle = arcs.at(number, (begin + end) / 2)
        half = arcs.angle[number] * (end - begin) / 2
        near = np.arccos(np.clip(middle @ centre, -1, 1)) <= radius + half + MARGIN
        number, begin, end, middle = number[near], begin[near], end[near], middle[near]
        start, stop = arcs.at(number, begin), arcs.at(number, end)
        quarter = arcs.at(number, 0.75 * begin + 0.25 * end)  # across the equator an arc is an S, its middle straight
        away_km = np.maximum(_deviation_km(start, middle, stop, 0.5), _deviation_km(start, quarter, stop, 0.25))
        bent = (depth < DEEPEST) & (away_km > arcs.tolerance_km[number])
        drawn.append(np.stack([start[~bent], stop[~bent]], axis=1))
        number, begin, end = number[bent], begin[bent], end[bent]
        number, begin, end = _halved(number, begin, end)
    return _straight(np.concatenate(drawn), middle_longitude)


def _halved(number: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    middle = (begin + end) / 2
    return np.tile(number, 2), np.concatenate([begin, middle]), np.concatenate([middle, end])


def _deviation_km(start: np.ndarray, place: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """How far a place on an arc is from that share of the way along the straight line in degrees."""
    (lat_a, lon_a), (lat, lon), (lat_b, lon_b) = (_radians(vectors) for vectors in (start, place, end))
    up = (1 - share) * lat_a + share * lat_b - lat
    across = (1 - share) * _turned(lon_a - lon, 2 * np.pi) + share * _turned(lon_b - lon, 2 * np.pi)
    return EARTH_RADIUS_KM * np.hypot(up, np.cos(lat) * across)


def _straight(ends: np.ndarray, middle_longitude: float) -> np.ndarray:
    """LineStrings between unit vectors (n, 2, 3), the short way. Turns are whole, so that equal ends stay equal."""
    latitude, longitude = (np.degrees(part).reshape(-1, 2) for part in _radians(ends.reshape(-1, 3)))
    turns = -np.round((longitude - middle_longitude) / 360)
    turns[:, 1] = turns[:, 0] - np.round((longitude[:, 1] - longitude[:, 0]) / 360)
    degrees = np.stack([longitude + 360 * turns, latitude], axis=2)
    copies = [degrees]
    for turn, beyond in (
        (-360, degrees[..., 0].max(axis=1) > middle_longitude + 180),
        (360, degrees[..., 0].min(axis=1) < middle_longitude - 180),
    ):
        copies.append(degrees[beyond] + np.array([turn, 0]))
    return shapely.linestrings(np.concatenate(copies))


def _radians(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = vectors.T
    return np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)


def _turned(angle: np.ndarray, turn: float) -> np.ndarray:
    """The same direction within half a turn either way."""
    return angle - turn * np.round(angle / turn)
