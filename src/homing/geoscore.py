"""The GeoScore: 5,000 for a correct guess, falling exponentially with distance, as in GeoGuessr on the world map."""

import numpy as np

MAX_SCORE = 5000.0
SCALE_KM = 1492.7  # of OSV-5M's GeoScore (Astruc et al., CVPR 2024)


def relative_score(distance_km: np.ndarray) -> np.ndarray:
    """Return exp(-distance / 1492.7 km): the GeoScore of guesses as a share of the maximum."""
    return np.exp(-distance_km / SCALE_KM)
