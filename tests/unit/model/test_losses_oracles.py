"""Distances, smoothing and contrastive losses at their limits, against plain arithmetic in float64."""

import math

import numpy as np
import pytest
import torch

from homing.model.losses import contrastive_terms, distances_km, haversine_km, smoothing_weights, unit_vectors
from homing.model.smoothing import SmoothedCells

EARTH_KM = 6371.0088


def everywhere(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return torch.tensor(np.degrees(np.arcsin(rng.uniform(-1, 1, count)))), torch.tensor(rng.uniform(-180, 180, count))


def exact_km(a, b, c, d) -> np.ndarray:
    """Vincenty's formula for a sphere, float64: right at any distance."""
    a, b, c, d = (np.radians(np.asarray(value, dtype=np.float64)) for value in (a, b, c, d))
    across = np.hypot(np.cos(c) * np.sin(d - b), np.cos(a) * np.sin(c) - np.sin(a) * np.cos(c) * np.cos(d - b))
    return EARTH_KM * np.arctan2(across, np.sin(a) * np.sin(c) + np.cos(a) * np.cos(c) * np.cos(d - b))


def test_haversine_is_exact_between_and_bounded_at_the_ends():
    a, b = everywhere(2000, 1), everywhere(2000, 2)
    expected = exact_km(*a, *b)
    between = (expected > 100) & (expected < 19_000)
    np.testing.assert_allclose(haversine_km(*a, *b).numpy()[between], expected[between], rtol=1e-4)
    assert 0 <= haversine_km(*a, *a).max() < 0.0128  # the gradient's floor: 2 R x 1e-6
    opposite = haversine_km(*a, -a[0], a[1] + 180)
    assert 4.3 < (math.pi * EARTH_KM - opposite).max() < 4.5  # its ceiling: 2 R x sqrt(1e-7), as fp32 rounds it
    assert (opposite <= math.pi * EARTH_KM + 0.01).all()


def test_haversine_pulls_towards_the_target():
    latitude, longitude = torch.tensor([10.0], requires_grad=True), torch.tensor([20.0], requires_grad=True)
    haversine_km(latitude, longitude, torch.tensor([11.0]), torch.tensor([20.0])).backward()
    assert latitude.grad.item() == pytest.approx(-math.pi / 180 * EARTH_KM, rel=1e-4)
    assert longitude.grad.item() == pytest.approx(0, abs=1e-3)


def test_distances_are_finite_and_right_up_to_the_antipodes():
    a = everywhere(5000, 3)
    here, there = unit_vectors(*a), unit_vectors(-a[0], a[1] + 180)
    opposite = distances_km(here, there)
    assert torch.isfinite(opposite).all() and (opposite - math.pi * EARTH_KM).abs().max() < 12
    assert (distances_km(here, -here) - math.pi * EARTH_KM).abs().max() < 12
    assert torch.isfinite(distances_km(here * (1 + 1e-6), -here)).all()  # of vectors that rounding made longer
    b = everywhere(5000, 4)
    expected = exact_km(*a, *b)
    middle = expected < 15_000
    np.testing.assert_allclose(distances_km(here, unit_vectors(*b)).numpy()[middle], expected[middle], atol=0.05)
    assert (distances_km(here, here) == 0).all()


def test_unit_vectors_point_where_they_are_said_to():
    found = unit_vectors(torch.tensor([0.0, 0, 0, 90, -90, 30]), torch.tensor([0.0, 90, 180, 0, 50, 60]))
    half, root = 0.5, math.sqrt(3) / 2
    expected = [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [root * half, root * root, half]]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_the_papers_weights_end_at_e_to_the_fifth_and_the_normalised_sum_to_one():
    exponents = torch.tensor([[0.0, -1, 4.9, 5.1, 80, -torch.inf]])
    paper = smoothing_weights(exponents, "paper")[0].tolist()
    assert paper == pytest.approx([1, math.exp(-1), math.exp(4.9), math.exp(5), math.exp(5), 0], rel=1e-5)
    normalised = smoothing_weights(exponents[:, :3], "normalised")
    assert normalised.sum().item() == pytest.approx(1)
    assert (normalised[0, 2] / normalised[0, 0]).item() == pytest.approx(math.exp(4.9), rel=1e-5)


def test_neighbours_are_all_cells_within_the_radius_and_no_other():
    """Beyond 20.7 + 6 times tau no weight is left; the rest of each row is the cell itself, and is not counted."""
    latitude, longitude = everywhere(1500, 5)
    cells = SmoothedCells(latitude, longitude, 40.0, "normalised")
    away = exact_km(latitude[:, None], longitude[:, None], latitude[None], longitude[None])
    radius = 40 * (-math.log(1e-9) + 6)
    assert cells.near.shape == cells.is_near.shape
    for cell in range(1500):
        found = cells.near[cell][cells.is_near[cell]].tolist()
        assert len(set(found)) == len(found)
        assert (
            set(np.flatnonzero(away[cell] < radius - 0.5))
            <= set(found)
            <= set(np.flatnonzero(away[cell] < radius + 0.5))
        )
        assert (cells.near[cell][~cells.is_near[cell]] == cell).all()


@pytest.mark.parametrize("form", ["normalised", "paper"])
def test_targets_of_all_pieces_together_are_those_of_each_photo_by_itself(form):
    latitude, longitude = everywhere(1200, 6)
    rng = np.random.default_rng(7)
    true = torch.tensor(rng.integers(0, 1200, 300))
    spread = np.where(np.arange(300) % 3 == 0, 15.0, 0.2)  # beyond and within three tau of the cell
    north = torch.tensor(np.clip(latitude[true].numpy() + rng.normal(0, spread), -90, 90))
    east = longitude[true] + torch.tensor(rng.normal(0, spread))
    cells = SmoothedCells(latitude, longitude, 50.0, form)
    assert cells.near is not None
    found = np.zeros((300, 1200))
    for rows, columns, targets in cells.pieces(unit_vectors(north, east), true):
        for row, own, weights in zip(rows.tolist(), columns.expand(len(rows), -1), targets, strict=True):
            np.add.at(found[row], own.numpy(), weights.double().numpy())
    away = exact_km(north[:, None], east[:, None], latitude[None], longitude[None])
    exponent = (away[np.arange(300), true][:, None] - away) / 50
    expected = np.exp(np.minimum(exponent, 5)) if form == "paper" else np.exp(exponent - exponent.max(axis=1)[:, None])
    if form == "normalised":
        expected /= expected.sum(axis=1)[:, None]
    np.testing.assert_allclose(found, expected, rtol=3e-3, atol=2e-4)


def test_a_pair_counts_as_its_own_positive_whatever_is_the_same_or_padding():
    """Of a padded global batch the local rows are any; nothing but the own text is a positive."""
    generator = torch.manual_seed(4)
    image, text = (torch.nn.functional.normalize(torch.randn(5, 6, generator=generator)) for _ in range(2))
    rows = torch.tensor([3, 1])
    same, valid = torch.zeros(2, 5, dtype=torch.bool), torch.tensor([True, True, False, True, True])
    same[0, 3] = same[0, 4] = True
    for form, bias in (("infonce", None), ("sigmoid", torch.tensor(-0.7))):
        found = contrastive_terms(
            image[rows], text[rows], image, text, rows, torch.tensor(3.0), bias, same, valid, form
        )  # fmt: skip
        for place, (own, others) in enumerate(((3, [0, 1]), (1, [0, 3, 4]))):
            logit = [3 * float(image[own] @ text[other]) for other in [own, *others]]
            back = [3 * float(text[own] @ image[other]) for other in [own, *others]]
            if form == "infonce":
                terms = [-one[0] + math.log(sum(map(math.exp, one))) for one in (logit, back)]
                assert found[place].item() == pytest.approx(sum(terms) / 2, rel=1e-5)
            else:
                signs = [1, *[-1] * len(others)]
                terms = [math.log1p(math.exp(-sign * (one - 0.7))) for sign, one in zip(signs, logit, strict=True)]
                assert found[place].item() == pytest.approx(sum(terms), rel=1e-5)
