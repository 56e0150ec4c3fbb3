"""Spherical geometry against other formulas: vectors against haversine, wrapping, areas that add up."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from homing import sphere

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-360, 360)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_haversine_agrees_with_the_angle_between_vectors(lat_a, lon_a, lat_b, lon_b):
    a, b = sphere.unit_vectors(lat_a, lon_a), sphere.unit_vectors(lat_b, lon_b)
    angle = np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)
    assert abs(sphere.haversine_km(lat_a, lon_a, lat_b, lon_b) - angle * sphere.EARTH_RADIUS_KM) < 1e-3
    assert abs(sphere.chord_to_km(np.linalg.norm(a - b)) - angle * sphere.EARTH_RADIUS_KM) < 1e-3


@given(LATITUDES, st.floats(-180, 179.999))
def test_vectors_give_the_point_back(latitude, longitude):
    lat, lon = sphere.from_vectors(sphere.unit_vectors(latitude, longitude))
    assert sphere.haversine_km(lat, lon, latitude, longitude) < 1e-6


@given(LONGITUDES)
def test_wrapping_keeps_the_meridian_and_the_range(longitude):
    wrapped = float(sphere.wrap_longitude(longitude))
    assert -180 <= wrapped < 180
    turns = (longitude - wrapped) / 360
    assert abs(turns - round(turns)) < 1e-9


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-180.00000000000003)
@example(-1e-300 - 180)
@example(1.7976931348623157e308)
def test_wrapping_keeps_any_finite_longitude_in_range(longitude):
    assert -180 <= sphere.wrap_longitude(longitude) < 180


@pytest.mark.parametrize("turns", range(-6, 7))
@pytest.mark.parametrize("offset", [0, 180])
@pytest.mark.parametrize("steps", range(-3, 4))
def test_wrapping_beside_the_ends_of_the_range(turns, offset, steps):
    """The floats around multiples of 180 degrees keep their meridian to within rounding, and the range."""
    longitude = 360.0 * turns + offset
    for _ in range(abs(steps)):
        longitude = np.nextafter(longitude, steps * np.inf)
    wrapped = sphere.wrap_longitude(longitude)
    assert -180 <= wrapped < 180
    difference = Fraction(float(wrapped)) - Fraction(float(longitude))
    distance = abs(difference - 360 * round(difference / 360))  # from the nearest whole number of turns
    assert distance <= 2 * np.spacing(max(abs(longitude), 180.0))


def test_mean_across_the_antimeridian():
    latitude, longitude = sphere.spherical_mean([10.0, 10.0], [179.0, -179.0])
    assert abs(abs(longitude) - 180) < 1e-9 and abs(latitude - 10) < 0.01


def test_known_distances():
    assert abs(sphere.haversine_km(0, 0, 0, 180) - np.pi * sphere.EARTH_RADIUS_KM) < 1e-9
    assert abs(sphere.haversine_km(48.8566, 2.3522, 51.5074, -0.1278) - 343.6) < 0.5  # Paris to London


def test_pixels_add_up_to_the_globe():
    edges = np.linspace(-90, 90, 181)
    total = sphere.pixel_area_km2(edges[:-1], edges[1:], 360).sum()
    assert abs(total / (4 * np.pi * sphere.EARTH_RADIUS_KM**2) - 1) < 1e-12


@given(st.floats(0, 20000))
def test_chord_and_distance_are_inverse(distance_km):
    assert abs(sphere.chord_to_km(sphere.km_to_chord(distance_km)) - distance_km) < 1e-3
