"""Systematic displacements and kinds of failures."""

import numpy as np
import pandas as pd
import pyproj
import pytest

from homing.evaluate import failures
from homing.evaluate.displacement import compass, displacements
from homing.sphere import EARTH_RADIUS_KM, destination

BALL = pyproj.Geod(a=1000 * EARTH_RADIUS_KM, b=1000 * EARTH_RADIUS_KM)


def moved(places: np.ndarray, bearing_deg: np.ndarray, distance_km: np.ndarray) -> np.ndarray:
    longitude, latitude, _ = BALL.fwd(places[:, 1], places[:, 0], bearing_deg, 1000 * distance_km)
    return np.column_stack([latitude, longitude])


@pytest.mark.parametrize(("latitude", "longitude"), [(42.0, 13.0), (-41.0, 179.9), (71.0, -150.0)])
def test_a_common_shift_is_found_with_its_direction_and_a_scatter_is_not(latitude, longitude):
    rng = np.random.default_rng(0)
    truth = np.array([latitude, longitude]) + rng.uniform(0, 0.05, (400, 2))
    table = displacements(truth, moved(truth, np.full(400, 210.0), np.full(400, 900.0)), 360, 5)
    assert table["photos"].tolist() == [400] and table["length_km"][0] == pytest.approx(900)
    assert table["bearing_deg"][0] == pytest.approx(210) and table["agreement"][0] == pytest.approx(1)
    ends = table[["end_latitude", "end_longitude"]].to_numpy()
    np.testing.assert_allclose(
        ends, moved(table[["latitude", "longitude"]].to_numpy(), np.array([210]), np.array([900]))
    )
    scattered = displacements(truth, moved(truth, rng.uniform(0, 360, 400), np.full(400, 900.0)), 360, 5)
    assert scattered["agreement"][0] < 0.15  # about one over the root of the number of photos


def test_boxes_hold_their_photos_and_small_ones_are_left_out():
    truth = np.array([[5.0, 5.0]] * 6 + [[-5.0, -5.0]] * 4 + [[15.0, 5.0]] * 9)
    answers = truth + np.array([1.0, 0.0])
    answers[0] = np.nan  # not answered
    table = displacements(truth, answers, 10, 5)
    assert list(zip(table["box"], table["photos"], strict=True)) == [((1, 0), 9), ((0, 0), 5)]
    assert displacements(truth[:3], answers[:3], 10, 5).empty


def test_bearings_are_named_by_compass_points():
    assert [compass(bearing) for bearing in (0, 44, 100, 337, 338, 359.9)] == [
        "north", "north-east", "east", "north-west", "north", "north"
    ]  # fmt: skip


def test_destination_equals_geographiclibs():
    rng = np.random.default_rng(1)
    places = np.column_stack([rng.uniform(-85, 85, 200), rng.uniform(-180, 180, 200)])
    bearing, distance = rng.uniform(0, 360, 200), rng.uniform(0, 15000, 200)
    np.testing.assert_allclose(
        np.column_stack(destination(*places.T, bearing, distance)), moved(places, bearing, distance), atol=1e-7
    )


def test_failures_are_selected_and_ordered():
    error_km = np.array([10.0, 751.0, 9000.0, 8000.0, 300.0, 750.0])
    probability = np.array([0.9, 0.2, 0.3, 0.8, 0.9, 0.9])
    assert failures.confident_errors(error_km, probability).tolist() == [3, 2, 1]
    true = pd.Series(["A", "A", "B", None, "B", "B"])
    assert failures.right_country(error_km, true, pd.Series(["A", "A", "B", None, "B", "A"])).tolist() == [2, 1, 4]
    north = np.array([50.0, 20.0, 10.0, -30.0, 60.0, -16.0])
    answers = np.array([-50.0, -20.0, -40.0, 40.0, 20.0, np.nan])
    assert failures.hemisphere_flips(north, answers, probability).tolist() == [0, 3, 1]
