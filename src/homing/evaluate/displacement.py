"""Whether answers are moved in one direction: mean displacements from the true places to the answers, by region.

An error that points every way at random has a mean near zero; one that is systematic, as a continent mistaken for
another, keeps its length.
"""

import numpy as np
import pandas as pd

from homing.sphere import destination, haversine_km, initial_bearing, spherical_mean

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


def displacements(truth: np.ndarray, answers: np.ndarray, box_degrees: float, fewest: int) -> pd.DataFrame:
    """Mean displacement of the photos in each box of latitude and longitude that holds at least `fewest`.

    truth, answers: (n, 2) latitude and longitude; photos without an answer (NaN) do not count. Each displacement is a
    vector at the true place, as long as the great circle to the answer and in its first direction; the mean is of
    these vectors. Columns: box, photos, latitude and longitude (mean true place), length_km, bearing_deg,
    end_latitude, end_longitude, and agreement (length of the mean over the mean length: 1 when all point the same way).
    Most photos first.
    """
    answered = ~np.isnan(answers).any(axis=1)
    truth, answers = truth[answered], answers[answered]
    boxes = pd.Series(list(map(tuple, np.floor(truth / box_degrees).astype(int).tolist())), dtype=object)
    away = haversine_km(*truth.T, *answers.T)
    bearing = np.radians(initial_bearing(*truth.T, *answers.T))
    rows = [
        {"box": box, "photos": len(at)} | _mean(truth[at], away[at], bearing[at])
        for box, at in boxes.groupby(boxes, sort=True).indices.items()
        if len(at) >= fewest
    ]
    names = ["box", "photos", "latitude", "longitude", "length_km", "bearing_deg", "end_latitude", "end_longitude"]
    table = pd.DataFrame(rows, columns=[*names, "agreement"])
    return table.sort_values("photos", ascending=False, kind="stable", ignore_index=True)


def _mean(places: np.ndarray, away_km: np.ndarray, bearing: np.ndarray) -> dict[str, float]:
    east, north = float(np.mean(away_km * np.sin(bearing))), float(np.mean(away_km * np.cos(bearing)))
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
        "agreement": length / max(float(away_km.mean()), 1e-9),
    }


def compass(bearing_deg: float) -> str:
    """A bearing as one of eight directions in words."""
    return COMPASS[round(bearing_deg / 45) % 8]
