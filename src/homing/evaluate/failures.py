"""Kinds of failures: each function returns the rows of the photos that show it, the clearest first."""

import numpy as np
import pandas as pd

FAR_KM = 750.0  # an error beyond this is in another region of the world
NEAR_KM = 200.0  # an error below this is right within a country
TROPICS_DEGREES = 15.0  # closer to the equator both hemispheres look alike


def confident_errors(error_km: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the rows of errors above `FAR_KM`, the most confident first. error_km, probability: (n,)."""
    return _ordered(error_km > FAR_KM, -probability)


def right_country(error_km: np.ndarray, true_country: pd.Series, country: pd.Series) -> np.ndarray:
    """Return the rows of answers in the right country with an error above `NEAR_KM`, the largest error first."""
    same = (true_country.notna() & (true_country == country)).to_numpy(dtype=bool)
    return _ordered(same & (error_km > NEAR_KM), -error_km)


def hemisphere_flips(true_latitude: np.ndarray, latitude: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the rows of answers in the wrong hemisphere, the most confident first.

    Both places must be more than `TROPICS_DEGREES` from the equator. Latitudes in degrees, probability: (n,).
    """
    far = (np.abs(true_latitude) > TROPICS_DEGREES) & (np.abs(latitude) > TROPICS_DEGREES)
    return _ordered(far & (np.sign(true_latitude) != np.sign(latitude)), -probability)


def _ordered(chosen: np.ndarray, key: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(key[rows], kind="stable")]
