"""The answers from which one learns most: kinds of failures, each as the rows of its photos, the most telling first."""

import numpy as np
import pandas as pd

FAR_KM = 750.0  # farther is another region of the world
NEAR_KM = 200.0  # nearer is the right place, as a place in a country goes
TROPICS_DEGREES = 15.0  # nearer to the equator both hemispheres look alike


def confident_errors(away_km: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Answers more than `FAR_KM` off, those that were thought most probable first; away_km, probability: (n,)."""
    return _ordered(away_km > FAR_KM, -probability)


def right_country(away_km: np.ndarray, true_country: pd.Series, country: pd.Series) -> np.ndarray:
    """Answers in the right country and yet more than `NEAR_KM` off, the farthest first."""
    same = (true_country.notna() & (true_country == country)).to_numpy(dtype=bool)
    return _ordered(same & (away_km > NEAR_KM), -away_km)


def hemisphere_flips(true_latitude: np.ndarray, latitude: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Answers on the other side of the equator though both places are more than `TROPICS_DEGREES` from it, degrees
    (n,); those that were thought most probable first."""
    far = (np.abs(true_latitude) > TROPICS_DEGREES) & (np.abs(latitude) > TROPICS_DEGREES)
    return _ordered(far & (np.sign(true_latitude) != np.sign(latitude)), -probability)


def _ordered(chosen: np.ndarray, key: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(key[rows], kind="stable")]
