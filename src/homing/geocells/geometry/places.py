"""Places: distinct coordinates, with the number of photos at each."""

from dataclasses import dataclass

import numpy as np

from homing.sphere import chord_to_km, from_vectors, unit_vectors


@dataclass(frozen=True)
class Places:
    """Distinct coordinates, sorted, and how many photos are at each."""

    latitude: np.ndarray  # (n,) degrees
    longitude: np.ndarray  # (n,) degrees; up to 540 in a country that crosses 180 (`land.unwrap_antimeridian`)
    photos: np.ndarray  # (n,) int64
    vectors: np.ndarray  # (n, 3) unit vectors

    @classmethod
    def of(cls, latitude: np.ndarray, longitude: np.ndarray) -> tuple["Places", np.ndarray]:
        """Return the places of photos, and the row of each photo's place, (photos,)."""
        # One complex number per coordinate: sorting these is much faster than sorting rows.
        unique, number, photos = np.unique(latitude + 1j * longitude, return_inverse=True, return_counts=True)
        return cls(unique.real, unique.imag, photos, unit_vectors(unique.real, unique.imag)), number

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, rows: np.ndarray) -> "Places":
        return Places(self.latitude[rows], self.longitude[rows], self.photos[rows], self.vectors[rows])

    def radius_km(self) -> float:
        """Return the distance from the spherical mean of all photos to the farthest; half the globe without a mean."""
        mean = self.photos @ self.vectors
        length = np.linalg.norm(mean)
        if length < 1e-9:
            return float(chord_to_km(2))
        return float(chord_to_km(np.linalg.norm(self.vectors - mean / length, axis=1).max()))

    def radii_km(self, group: np.ndarray, count: int) -> np.ndarray:
        """Return the radius of each group of places, (count,); 0 without photos. group: (n,) number 0..count-1."""
        sums = np.stack([np.bincount(group, self.photos * part, count) for part in self.vectors.T], axis=1)
        centroid = unit_vectors(*from_vectors(sums))
        radius = np.zeros(count)
        np.maximum.at(radius, group, chord_to_km(np.linalg.norm(self.vectors - centroid[group], axis=1)))
        return radius
