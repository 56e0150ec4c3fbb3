"""Spherical geometry in numpy. Angles are in degrees, latitude before longitude; distances are in kilometres."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_KM = 6371.0088  # mean radius of WGS84 (IUGG)
KM_PER_DEGREE = np.pi * EARTH_RADIUS_KM / 180  # of latitude

Floats = NDArray[np.float64]


def haversine_km(
    latitude_a: ArrayLike, longitude_a: ArrayLike, latitude_b: ArrayLike, longitude_b: ArrayLike
) -> Floats:
    """Return great-circle distances in km between points in degrees; the arguments broadcast against each other."""
    lat_a, lon_a, lat_b, lon_b = (
        np.radians(np.asarray(value, dtype=np.float64)) for value in (latitude_a, longitude_a, latitude_b, longitude_b)
    )
    chord = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))


def initial_bearing(
    latitude_a: ArrayLike, longitude_a: ArrayLike, latitude_b: ArrayLike, longitude_b: ArrayLike
) -> Floats:
    """Return the bearing at a of the great circle to b, in degrees clockwise from north, in [0, 360)."""
    lat_a, lon_a, lat_b, lon_b = (
        np.radians(np.asarray(value, dtype=np.float64)) for value in (latitude_a, longitude_a, latitude_b, longitude_b)
    )
    east = np.sin(lon_b - lon_a) * np.cos(lat_b)
    north = np.cos(lat_a) * np.sin(lat_b) - np.sin(lat_a) * np.cos(lat_b) * np.cos(lon_b - lon_a)
    return np.degrees(np.arctan2(east, north)) % 360


def destination(
    latitude: ArrayLike, longitude: ArrayLike, bearing_deg: ArrayLike, distance_km: ArrayLike
) -> tuple[Floats, Floats]:
    """Return latitude and longitude of the points reached from others by `distance_km` along an initial bearing."""
    lat, lon, bearing = (
        np.radians(np.asarray(value, dtype=np.float64)) for value in (latitude, longitude, bearing_deg)
    )
    angle = np.asarray(distance_km, dtype=np.float64) / EARTH_RADIUS_KM
    there = np.arcsin(np.clip(np.sin(lat) * np.cos(angle) + np.cos(lat) * np.sin(angle) * np.cos(bearing), -1, 1))
    turn = np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(lat), np.cos(angle) - np.sin(lat) * np.sin(there))
    return np.degrees(there), wrap_longitude(np.degrees(lon + turn))


def unit_vectors(latitude: ArrayLike, longitude: ArrayLike) -> Floats:
    """Return the unit vectors of points in degrees, shape (..., 3)."""
    lat, lon = np.radians(np.asarray(latitude, dtype=np.float64)), np.radians(np.asarray(longitude, dtype=np.float64))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def from_vectors(vectors: ArrayLike) -> tuple[Floats, Floats]:
    """Return latitude and longitude in degrees of the directions of vectors of any length, shape (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    return np.degrees(np.arctan2(z, np.hypot(x, y))), wrap_longitude(np.degrees(np.arctan2(y, x)))


def wrap_longitude(longitude: ArrayLike) -> Floats:
    """Return longitudes wrapped to [-180, 180); values already in that range are returned bit for bit."""
    longitude = np.asarray(longitude, dtype=np.float64)
    wrapped = (longitude + 180) % 360 - 180
    wrapped = np.where(wrapped < 180, wrapped, -180)  # the remainder of a tiny negative number rounds up to 360
    return np.where((longitude >= -180) & (longitude < 180), longitude, wrapped)


def spherical_mean(latitude: ArrayLike, longitude: ArrayLike) -> tuple[float, float]:
    """Return the direction of the mean unit vector of points, as latitude and longitude.

    Unlike a mean of degrees it is correct across the antimeridian and at the poles.
    """
    mean_lat, mean_lon = from_vectors(unit_vectors(latitude, longitude).mean(axis=0))
    return float(mean_lat), float(mean_lon)


def chord_to_km(chord: ArrayLike) -> Floats:
    """Convert chord lengths between unit vectors, such as the distances of a k-d tree, to great-circle km."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(np.asarray(chord, dtype=np.float64) / 2, 0, 1))


def km_to_chord(distance_km: ArrayLike) -> Floats:
    """Convert great-circle distances in km to lengths of the chords between unit vectors."""
    return 2 * np.sin(np.clip(np.asarray(distance_km, dtype=np.float64) / EARTH_RADIUS_KM, 0, np.pi) / 2)


def pixel_area_km2(south: ArrayLike, north: ArrayLike, width_degrees: float) -> Floats:
    """Return the area in km2 of boxes between two parallels, `width_degrees` of longitude wide."""
    band = np.sin(np.radians(np.asarray(north, dtype=np.float64))) - np.sin(
        np.radians(np.asarray(south, dtype=np.float64))
    )
    return EARTH_RADIUS_KM**2 * np.radians(width_degrees) * np.abs(band)
