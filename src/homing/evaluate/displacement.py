"""Systematic displacement: the mean vector from true places to answers, per region.

Errors in random directions have a mean near zero; a systematic error, such as one continent taken for another, keeps
its length.
"""

import numpy as np
import pandas as pd

from homing.sphere import destination, haversine_km, initial_bearing, spherical_mean

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


def displacements(truth: np.ndarray, answers: np.ndarray, box_degrees: float, min_photos: int) -> pd.DataFrame:
    """Return the mean displacement per box of latitude and longitude with at least `min_photos`, most photos first.

    truth, answers: (n, 2), latitude and longitude; photos without an answer (NaN) do not count. A displacement is a
    vector at the true place with the length and initial bearing of the great circle to the answer. Columns: box,
    photos, latitude and longitude (mean true place), length_km, bearing_deg, end_latitude, end_longitude, and agreement
    (length of the mean over the mean length: 1 if all have one direction).
    """
    answered = ~np.isnan(answers).any(axis=1)
    truth, answers = truth[answered], answers[answered]
    boxes = pd.Series(list(map(tuple, np.floor(truth / box_degrees).astype(int).tolist())), dtype=object)
    error_km = haversine_km(*truth.T, *answers.T)
    bearing = np.radians(initial_bearing(*truth.T, *answers.T))
    rows = [
        {"box": box, "photos": len(at)} | _mean_displacement(truth[at], error_km[at], bearing[at])
        for box, at in boxes.groupby(boxes, sort=True).indices.items()
        if len(at) >= min_photos
    ]
    names = ["box", "photos", "latitude", "longitude", "length_km", "bearing_deg", "end_latitude", "end_longitude"]
    table = pd.DataFrame(rows, columns=[*names, "agreement"])
    return table.sort_values("photos", ascending=False, kind="stable", ignore_index=True)


def _mean_displacement(places: np.ndarray, error_km: np.ndarray, bearing: np.ndarray) -> dict[str, float]:
    """Return the columns of a box from its true places (n, 2), errors (n,) and bearings (n,) in radians."""
    east, north = float(np.mean(error_km * np.sin(bearing))), float(np.mean(error_km * np.cos(bearing)))
    length, direction = float(np.hypot(east, north)), float(np.degrees(np.arctan2(east, north)) % 360)
    latitude, longitude = spherical_mean(*places.T)
    end_latitude, end_longitude = destination(latitude, longitude, direction, length)
    return {
        "latitude": latitude,
        "longitude": longitude,
        "length_km": length,
        "bearing_deg": direction,
        "end_latitude": float(end_latitude),
        "end_longitude": float(end_longitude),
        "agreement": length / max(float(error_km.mean()), 1e-9),
    }


def compass(bearing_deg: float) -> str:
    """Return a bearing as one of eight directions in words."""
    return COMPASS[round(bearing_deg / 45) % 8]
