"""The places of photos: each coordinate once, with how many photos it has."""

from dataclasses import dataclass

import numpy as np

from homing.sphere import chord_to_km, unit_vectors


@dataclass(frozen=True)
class Places:
    """Distinct coordinates, and the photos there."""

    latitude: np.ndarray  # (n,) degrees
    longitude: np.ndarray  # (n,) degrees; up to 540 in a country that crosses 180 (`land.unrolled`)
    photos: np.ndarray  # (n,) int64
    vectors: np.ndarray  # (n, 3) unit vectors

    @classmethod
    def of(cls, latitude: np.ndarray, longitude: np.ndarray) -> tuple["Places", np.ndarray]:
        """The places of photos, and the number of each photo's place."""
        # One complex number for each coordinate: sorted much faster than rows.
        unique, number, photos = np.unique(latitude + 1j * longitude, return_inverse=True, return_counts=True)
        return cls(unique.real, unique.imag, photos, unit_vectors(unique.real, unique.imag)), number

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, rows: np.ndarray) -> "Places":
        return Places(self.latitude[rows], self.longitude[rows], self.photos[rows], self.vectors[rows])

    def radius_km(self) -> float:
        """Distance from the mean of all photos to the farthest."""
        mean = self.photos @ self.vectors
        length = np.linalg.norm(mean)
        if length < 1e-9:
            return float(chord_to_km(2))
        return float(chord_to_km(np.linalg.norm(self.vectors - mean / length, axis=1).max()))
