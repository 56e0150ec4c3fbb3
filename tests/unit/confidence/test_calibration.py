"""Calibration and regions against distributions whose probabilities are known, and against scipy."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

from homing.confidence.calibration import (
    area_under_risk,
    calibrate,
    fit_spread_km,
    fit_temperature,
    log_loss,
    log_von_mises_fisher,
    negative_log_likelihood,
    probability_within,
    reliability,
    risk_against_coverage,
    softmax,
)
from homing.confidence.conformal import ConformalCells, conformal_quantile
from homing.confidence.metrics import RankedCells, confidence_metrics
from homing.confidence.regions import coverage, smallest_region
from homing.errors import HomingError
from homing.evaluate.stages import stage_metrics
from homing.sphere import EARTH_RADIUS_KM, from_vectors, haversine_km, unit_vectors

CELLS = 40


def drawn(count: int, seed: int, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, CELLS), and true cells drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (count, CELLS))
    true = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)  # the Gumbel-max trick
    return logits, true


def binomial(count: int, share: float) -> tuple[float, float]:
    """Bounds of a share that hold in all but one of 10,000 such tests."""
    low, high = stats.binom.ppf([0.00005, 0.99995], count, share) / count
    return low, high


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_again(temperature):
    logits, true = drawn(8000, 1)
    fitted = fit_temperature(logits * temperature, true)
    assert fitted == pytest.approx(temperature, rel=0.05)
    best = optimize.minimize_scalar(lambda log: log_loss(logits * temperature, true, np.exp(log)), bounds=(-3, 3))
    assert fitted == pytest.approx(np.exp(best.x), rel=1e-3)
    assert log_loss(logits * temperature, true, fitted) <= log_loss(logits * temperature, true)


def test_the_log_loss_is_that_of_the_softmax():
    logits, true = drawn(50, 2)
    chosen = softmax(logits, 1.7)[np.arange(50), true]
    assert log_loss(logits, true, 1.7) == pytest.approx(-np.log(chosen).mean())
    assert np.isfinite(log_loss(logits * 1e5, true))
    with pytest.raises(HomingError, match="no validation photo"):
        fit_temperature(logits[:0], true[:0])


def test_calibration_recovers_the_temperature_and_the_log_loss():
    logits, true = drawn(8000, 12)
    found = calibrate(logits * 2.5, true)
    assert found["temperature"] == pytest.approx(2.5, rel=0.05) and found["photos"] == 8000
    assert found["after"]["log_loss"] < found["before"]["log_loss"]
    assert found["after"]["expected_error"] < 0.02 < 0.1 < found["before"]["expected_error"]
    held, its = drawn(8000, 13)  # photos that the temperature was not fitted on
    assert log_loss(held * 2.5, its, found["temperature"]) == pytest.approx(log_loss(held, its), rel=1e-3)


def test_reliability_of_calibrated_and_overconfident_probabilities():
    rng = np.random.default_rng(3)
    stated = rng.random(60_000)
    true = rng.random(60_000) < stated
    honest, overconfident = reliability(stated, true), reliability(np.sqrt(stated), true)
    assert honest.photos.sum() == 60_000 and honest.expected_error < 0.01
    expected = np.sqrt(stated).mean() - stated.mean()  # 2/3 - 1/2: stated too high in every bin
    assert overconfident.expected_error == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx(1 / 6, abs=0.005)
    single = reliability(np.array([1.0, 1.0]), np.array([1, 0]))
    assert single.photos[-1] == 2 and single.true[-1] == 0.5 and np.isnan(single.true[0])


def test_probabilities_within_a_radius_are_calibrated():
    logits, true = drawn(40_000, 4)
    probabilities, rng = softmax(logits), np.random.default_rng(5)
    cells = np.column_stack([rng.uniform(-60, 60, CELLS), rng.uniform(-180, 180, CELLS)])
    answers = cells[logits.argmax(axis=1)]
    chord = np.linalg.norm(unit_vectors(*answers.T) - unit_vectors(*cells[true].T), axis=1)
    for radius in (200, 2500, 8000):
        stated = probability_within(probabilities, cells, answers, radius)
        hit = 2 * np.arcsin(chord / 2) * EARTH_RADIUS_KM <= radius
        assert reliability(stated, hit).expected_error < 0.012
        assert stated.mean() == pytest.approx(hit.mean(), abs=0.01)


def test_probability_within_a_radius_with_a_spread_by_simulation():
    """Radii below and above the spread, by sampling places."""
    rng = np.random.default_rng(14)
    cells, answers = np.array([[10.0, 20.0], [12.0, 22.0], [-40.0, 100.0]]), np.array([[10.0, 20.0]])
    probability, spread = np.array([[0.5, 0.3, 0.2]]), 150.0
    chosen = rng.choice(3, 400_000, p=probability[0])
    sampled = unit_vectors(*cells.T)[chosen] + rng.normal(0, spread / EARTH_RADIUS_KM, (400_000, 3))
    distance_km = haversine_km(*from_vectors(sampled), *answers[0])
    for radius in (25, 200, 750):
        (stated,) = probability_within(probability, cells, answers, radius, np.array([spread]))
        assert stated == pytest.approx((distance_km <= radius).mean(), abs=0.004)
    point = probability_within(probability, cells, answers, 25, np.array([1e-3]))
    assert point == pytest.approx(probability_within(probability, cells, answers, 25))


@pytest.mark.parametrize("spread", [50.0, 1000.0, 30_000.0])
def test_the_density_integrates_to_one(spread):
    def ring(angle: float) -> float:
        density = np.exp(log_von_mises_fisher(np.array(angle * EARTH_RADIUS_KM), spread))
        return density * 2 * np.pi * EARTH_RADIUS_KM**2 * np.sin(angle)

    near = min(np.pi, 8 * spread / EARTH_RADIUS_KM)
    assert integrate.quad(ring, 0, near)[0] == pytest.approx(1, abs=1e-6)


def test_the_density_equals_scipys():
    ours = log_von_mises_fisher(np.array([0.0, 500.0, 3000.0]), 900.0) + 2 * np.log(EARTH_RADIUS_KM)
    points = unit_vectors(np.degrees(np.array([0.0, 500.0, 3000.0]) / EARTH_RADIUS_KM), np.zeros(3))
    theirs = stats.vonmises_fisher(np.array([1.0, 0, 0]), (EARTH_RADIUS_KM / 900.0) ** 2).logpdf(points)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def test_likelihood_of_a_mixture_and_its_spread():
    rng = np.random.default_rng(6)
    cells = np.array([[48.0, 2.0], [-33.0, 151.0], [0.0, 179.9]])
    probabilities = np.tile([0.5, 0.3, 0.2], (3000, 1))
    centroid = unit_vectors(*cells.T)[rng.choice(3, 3000, p=[0.5, 0.3, 0.2])]
    spread = 250 / EARTH_RADIUS_KM
    true = np.column_stack(from_vectors(centroid + rng.normal(0, spread, centroid.shape)))
    found = negative_log_likelihood(probabilities, cells, true, 250.0)
    entropy = -(np.array([0.5, 0.3, 0.2]) * np.log([0.5, 0.3, 0.2])).sum()  # cells far apart: their entropies add
    assert found.mean() == pytest.approx(entropy + np.log(2 * np.pi * np.e * 250**2), abs=0.1)
    assert fit_spread_km(probabilities, cells, true) == pytest.approx(250, rel=0.12)
    sure = np.tile([1.0, 0.0, 0.0], (1, 1))
    assert np.isfinite(negative_log_likelihood(sure, cells, np.array([[-33.0, 151.0]]), 250.0)).all()


def test_smallest_regions_have_their_stated_coverage_if_the_model_is_calibrated():
    logits, true = drawn(5000, 7)
    probabilities = softmax(logits)
    areas = np.random.default_rng(0).uniform(1, 9, CELLS)
    for level in (0.5, 0.9):
        mask = smallest_region(probabilities, level)
        found = coverage(mask, true, areas, level)
        stated = (probabilities * mask).sum(axis=1)
        assert (stated >= level).all()
        low, high = binomial(5000, stated.mean())
        assert low <= found.covered <= high
        one = mask[3]  # the fewest: without its least probable cell it is short of the level
        assert probabilities[3][one].sum() - probabilities[3][one].min() < level
        assert found.mean_area_km2 == pytest.approx(np.mean([areas[row].sum() for row in mask]))
    absent = coverage(np.ones((2, 3), dtype=bool), np.array([-1, 2]), np.ones(3), 0.9)
    assert absent.covered == 0.5


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_conformal_regions_have_their_stated_coverage_for_any_model(temperature):
    held = []
    for trial in range(40):
        logits, true = drawn(1000, 100 + trial)
        probabilities = softmax(logits * temperature)
        fitted = ConformalCells.fit(probabilities[:500], true[:500], 0.9, seed=2 * trial)
        mask = fitted.regions(probabilities[500:], seed=2 * trial + 1)
        held.append(mask[np.arange(500), true[500:]].mean())
    spread = np.sqrt(0.9 * 0.1 * (1 / 500 + 1 / 500) / 40)
    assert 0.9 - 4 * spread <= np.mean(held) <= 0.9 + 1 / 501 + 4 * spread


def test_conformal_quantiles_count_the_further_photo():
    scores = np.random.default_rng(8).permutation(99) + 1.0
    assert conformal_quantile(scores, 0.9) == 90 and conformal_quantile(scores, 0.5) == 50
    assert conformal_quantile(scores[:8], 0.9) == np.inf
    with pytest.raises(HomingError, match="give photos"):
        conformal_quantile(scores[:0], 0.9)


def test_true_cells_outside_the_kept_ones_widen_the_region():
    logits, true = drawn(400, 9)
    lost = np.where(np.arange(400) < 80, -1, true)
    assert ConformalCells.fit(softmax(logits), lost, 0.9).everywhere  # a fifth is in no set of cells
    assert ConformalCells.fit(softmax(logits), true, 0.9).threshold < 1.01


def test_risk_against_coverage_by_plain_loops():
    rng = np.random.default_rng(11)
    confidence, loss = rng.integers(0, 20, 200) / 20, rng.gamma(1, 100, 200)
    share, risk = risk_against_coverage(confidence, loss)
    for level in np.unique(confidence):
        answered = confidence >= level
        row = np.flatnonzero(share == answered.mean())
        np.testing.assert_allclose(risk[row], loss[answered].mean())
    own, best, none = area_under_risk(-loss + rng.normal(0, 50, 200), loss)
    assert best < own < none
    assert area_under_risk(-loss, loss)[0] == best


def test_missing_probability_is_uniform_over_the_globe():
    cells, true = np.array([[48.0, 2.0]]), np.array([[-33.0, 151.0]])
    found = negative_log_likelihood(np.array([[0.75]]), cells, true, 100.0)
    assert found == pytest.approx(-np.log(0.25 / (4 * np.pi * EARTH_RADIUS_KM**2)))


def ranked_photos(count: int, sharpening: float) -> tuple[RankedCells, np.ndarray]:
    """The best 25 of 40 cells, as a run keeps them; calibrated with sharpening 1, overconfident above."""
    rng = np.random.default_rng(20)
    logits, true = drawn(count, 21)
    centroids = np.column_stack([rng.uniform(-60, 60, CELLS), rng.uniform(-180, 180, CELLS)])
    vectors = unit_vectors(*centroids.T)[true] + rng.normal(0, 0.02, (count, 3))
    place = np.column_stack(from_vectors(vectors))
    best = np.argsort(-logits, axis=1)[:, :25]
    column = np.where((best == true[:, None]).any(axis=1), (best == true[:, None]).argmax(axis=1), -1)
    probability = np.take_along_axis(softmax(logits * sharpening), best, axis=1)
    distance_km = haversine_km(*place.T, *centroids[best[:, 0]].T)
    ranked = RankedCells(probability, np.full(best.shape, 1e6), centroids[best], column, distance_km, place)
    return ranked, np.arange(count) // 4


def test_confidence_metrics_of_calibrated_and_overconfident_probabilities():
    right, sharp = (
        confidence_metrics(*ranked_photos(4000, sharpening), [25, 750, 2500], seed=0) for sharpening in (1.0, 2.0)
    )
    json.dumps(right, allow_nan=False)
    for radius in ("within_750_km", "within_2500_km"):
        assert (
            right["reliability"][radius]["expected_error"] < 0.04 < 0.1 < sharp["reliability"][radius]["expected_error"]
        )
    assert right["reliability"]["within_25_km"]["expected_error"] < 0.02  # far less than a cell's size
    assert right["spread_km"] == pytest.approx(0.02 * EARTH_RADIUS_KM, rel=0.15)
    assert right["negative_log_likelihood"] < sharp["negative_log_likelihood"]
    first = right["first_cell"]
    assert first["expected_error"] < 0.04 < 0.1 < sharp["first_cell"]["expected_error"]
    assert sum(first["photos"]) == 4000
    assert abs(right["regions"]["0.9"]["covered"] - 0.9) < 0.06
    assert sharp["regions"]["0.9"]["covered"] < 0.8
    for found in (right, sharp):
        for level in (0.5, 0.9):
            assert found["conformal"][f"{level:g}"]["covered"] == pytest.approx(level, abs=0.03)
        risks = list(found["risk_km_by_coverage"].values())
        assert risks == sorted(risks) and found["mean_risk_km"]["best"] < found["mean_risk_km"]["own"] < risks[-1]
    ranked, names = ranked_photos(400, 1.0)
    lost = replace(ranked, true=np.where(np.arange(400) % 3 == 0, -1, ranked.true))
    found = confidence_metrics(lost, names, [750], seed=0)["conformal"]["0.9"]
    assert found["covered"] == found["everywhere_share"] == 1  # the kept cells hold too few: only the globe is sure
    assert found["mean_area_km2"] == pytest.approx(4 * np.pi * EARTH_RADIUS_KM**2)
    few, names = ranked_photos(20, 1.0)
    assert confidence_metrics(few, names, [750], seed=0)["conformal"] is None


def run_tables(ranked: RankedCells, names: np.ndarray) -> dict[str, pd.DataFrame]:
    """The same photos as the tables of a run, with rows in random order."""
    count, ranks = ranked.probability.shape
    centroids, cell = np.unique(ranked.centroids.reshape(-1, 2), axis=0, return_inverse=True)
    cell = cell.reshape(count, ranks)
    ids = np.array([f"p{number:05d}" for number in range(count)])
    predictions = pd.DataFrame({"photo_id": np.repeat(ids, ranks), "rank": np.tile(np.arange(ranks), count)})
    predictions["cell_id"], predictions["probability"] = cell.ravel(), ranked.probability.ravel()
    cells = pd.DataFrame({"cell_id": range(len(centroids)), "latitude": centroids[:, 0], "longitude": centroids[:, 1]})
    own = np.where(ranked.true >= 0, cell[np.arange(count), ranked.true], len(centroids))
    truth = pd.DataFrame({"photo_id": ids, "latitude": ranked.place[:, 0], "longitude": ranked.place[:, 1]})
    return {
        "truth": truth.assign(author=names.astype(str)).sample(frac=1, random_state=1),
        "predictions": predictions.sample(frac=1, random_state=2),
        "cells": cells.assign(area_km2=1e6).sample(frac=1, random_state=3),
        "assignments": pd.DataFrame({"photo_id": ids, "cell_id": own}).sample(frac=1, random_state=4),
    }


def test_stage_metrics_of_tables_equal_those_of_arrays():
    ranked, names = ranked_photos(400, 1.0)
    made = run_tables(ranked, names)
    found = stage_metrics(**made, points={}, refined=25, radii_km=[750, 2500], seed=0)
    direct = confidence_metrics(ranked, names, [750, 2500], seed=0)
    confidence = found["confidence"]
    assert confidence["reliability"]["within_750_km"]["stated"] == pytest.approx(
        direct["reliability"]["within_750_km"]["stated"]
    )
    assert confidence["regions"]["0.9"] == pytest.approx(direct["regions"]["0.9"])
    assert found["ceilings"]["first_cell"]["median_km"] == pytest.approx(np.median(ranked.error_km))
    fewer = stage_metrics(**made, points={}, refined=5, radii_km=[750, 2500], seed=0)
    distance_km = haversine_km(*ranked.place.T[..., None], *np.moveaxis(ranked.centroids[:, :5], -1, 0))
    assert fewer["ceilings"]["best_of_5_cells"]["median_km"] == pytest.approx(np.median(distance_km.min(axis=1)))
    assert fewer["confidence"] == confidence  # measured on all kept cells
    nobody = made | {"assignments": made["assignments"].iloc[:0]}
    assert stage_metrics(**nobody, points={}, refined=25, radii_km=[750], seed=0) == {
        "ceilings": None,
        "confidence": None,
    }
    short = made | {"predictions": made["predictions"].iloc[1:]}
    with pytest.raises(HomingError, match="not every photo has the ranks 0 to 24"):
        stage_metrics(**short, points={}, refined=25, radii_km=[750], seed=0)
