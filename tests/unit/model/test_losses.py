"""Losses against plain loops in float64, transformers' own CLIP loss, and their gradients."""

import math

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from homing import sphere
from homing.model.geolocator import make_targets
from homing.model.heads import GeoHeads, hierarchy_loss, known_tasks, task_losses
from homing.model.losses import LARGEST_EXPONENT, contrastive_terms, distances_km, haversine_km, unit_vectors
from homing.model.smoothing import SmoothedCells
from homing.tasks import REGRESSIONS, TASKS, LabelScales


def places(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)


def tensors(*arrays):
    return tuple(torch.tensor(array) for array in arrays)


def test_haversine_is_the_spheres():
    a, b = places(500, 1), places(500, 2)
    found = haversine_km(*tensors(*a, *b)).numpy()
    np.testing.assert_allclose(found, sphere.haversine_km(*a, *b), rtol=2e-3, atol=0.02)


def test_haversine_has_a_finite_gradient_everywhere():
    latitude = torch.tensor([10.0, 0.0, 90.0, 45.0], requires_grad=True)
    longitude = torch.tensor([20.0, 180.0, 0.0, -180.0], requires_grad=True)
    target = torch.tensor([10.0, 0.0, -90.0, 45.0]), torch.tensor([20.0, 0.0, 0.0, 180.0])
    haversine_km(latitude, longitude, *target).sum().backward()
    assert torch.isfinite(latitude.grad).all() and torch.isfinite(longitude.grad).all()


def test_distances_are_right_to_metres():
    photos, cells = places(40, 3), places(60, 4)
    photos[0][0], photos[1][0] = cells[0][0] + 1e-4, cells[1][0]
    found = distances_km(unit_vectors(*tensors(*photos))[:, None], unit_vectors(*tensors(*cells))[None]).numpy()
    expected = sphere.haversine_km(photos[0][:, None], photos[1][:, None], cells[0], cells[1])
    near = expected < 15000
    np.testing.assert_allclose(found[near], expected[near], atol=0.05)


def plain_targets(photos, cells, true, tau_km: float, form: str) -> np.ndarray:
    """The formula in float64, cell by cell."""
    away = sphere.haversine_km(photos[0][:, None], photos[1][:, None], *cells)
    exponents = -(away - away[np.arange(len(true)), true][:, None]) / tau_km
    if form == "none":
        return np.eye(len(cells[0]))[true]
    weights = np.exp(np.minimum(exponents, 5)) if form == "paper" else np.exp(exponents - exponents.max(1)[:, None])
    return weights if form == "paper" else weights / weights.sum(axis=1)[:, None]


def world(cells: int, photos: int, seed: int):
    """Photos around their cells; every tenth far away, as in cells of islands, and nearer to another cell."""
    rng = np.random.default_rng(seed)
    centres, true = places(cells, seed), rng.integers(0, cells, photos)
    spread = np.where(np.arange(photos) % 10 == 0, 20, 0.3)
    latitude = np.clip(centres[0][true] + rng.normal(0, 1, photos) * spread, -90, 90)
    return centres, (latitude, centres[1][true] + rng.normal(0, 1, photos) * spread), true


@pytest.mark.parametrize("form", ["normalised", "paper", "none"])
@pytest.mark.parametrize("tau_km", [20, 75, 1000])  # near cells alone; the same and some photos to all; all to all
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_smoothed_loss_and_gradient_are_those_of_the_whole_matrix(form, tau_km, kind):
    cells, photos, true = world(3000, 200, 5)
    generator = torch.manual_seed(1)
    logits = (torch.randn(200, 3000, generator=generator) * 3).to(kind).requires_grad_()
    scales = torch.rand(200, generator=generator)
    smoothed = SmoothedCells(*tensors(*cells), tau_km, form)
    assert (smoothed.near is not None) == (form != "none" and tau_km < 1000)
    found = smoothed.loss(logits, *tensors(*photos, true))
    (found * scales).sum().backward()
    exact = logits.detach().double().requires_grad_()
    targets = torch.tensor(plain_targets(photos, cells, true, tau_km, form))
    expected = -(targets * torch.log_softmax(exact, dim=1)).sum(dim=1)
    (expected * scales).sum().backward()
    assert found.dtype == torch.float32 and logits.grad.dtype == kind
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    size = exact.grad.abs().max()
    assert (logits.grad.double() - exact.grad).abs().max() < size * (1e-4 if kind == torch.float32 else 8e-3)


def test_the_papers_form_stays_finite_far_from_the_true_cell():
    cells = SmoothedCells(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 179.0]), 65, "paper")
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = cells.loss(logits, torch.tensor([0.0]), torch.tensor([179.0]), torch.tensor([0]))
    loss.sum().backward()
    assert loss.item() == pytest.approx((1 + math.exp(LARGEST_EXPONENT)) * math.log(2), rel=1e-4)
    assert torch.isfinite(logits.grad).all()


def test_the_smoothed_gradient_is_the_losses_own_slope():
    cells, photos, true = world(50, 6, 7)
    smoothed = SmoothedCells(*tensors(*cells), 300, "normalised")
    logits = torch.randn(6, 50, generator=torch.manual_seed(3)).requires_grad_()
    smoothed.loss(logits, *tensors(*photos, true)).sum().backward()
    step, where = 1e-2, (2, int(true[2]))
    moved = [logits.detach().clone().index_put_((torch.tensor(2), torch.tensor(where[1])), logits[where] + sign * step)
             for sign in (1, -1)]  # fmt: skip
    slope = [smoothed.loss(value, *tensors(*photos, true)).sum().item() for value in moved]
    assert (slope[0] - slope[1]) / (2 * step) == pytest.approx(logits.grad[where].item(), abs=2e-3)


def test_a_country_is_the_sum_of_its_cells():
    logits, true = torch.randn(9, 7, generator=torch.manual_seed(0)) * 4, torch.arange(9) % 7
    levels = [torch.tensor([0, 0, 1, 1, 2, 2, 2]), torch.tensor([0, 0, 0, 0, 1, 1, 1])]
    probability = torch.softmax(logits.double(), dim=1)
    expected = 0
    for nodes in levels:
        of_node = torch.stack([probability[:, nodes == node].sum(dim=1) for node in range(3)], dim=1)
        expected = expected - torch.log(of_node[torch.arange(9), nodes[true]]) / 2
    torch.testing.assert_close(hierarchy_loss(logits, true, levels).double(), expected, rtol=1e-5, atol=1e-5)


def pairs(count: int, seed: int = 0):
    generator = torch.manual_seed(seed)
    image, text = (torch.nn.functional.normalize(torch.randn(count, 8, generator=generator)) for _ in range(2))
    return image, text, torch.eye(count, dtype=torch.bool), torch.ones(count, dtype=torch.bool)


def test_infonce_is_transformers_clip_loss():
    config = CLIPConfig(
        text_config={"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "max_position_embeddings": 8, "eos_token_id": 1, "bos_token_id": 0},
        vision_config={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 16, "patch_size": 8}, projection_dim=8,
    )  # fmt: skip
    torch.manual_seed(0)
    clip = CLIPModel(config).eval()
    ids = torch.randint(2, 50, (6, 8))
    ids[:, -1] = 1
    output = clip(input_ids=ids, pixel_values=torch.randn(6, 3, 16, 16), return_loss=True)
    same, valid = torch.eye(6, dtype=torch.bool), torch.ones(6, dtype=torch.bool)
    terms = contrastive_terms(
        output.image_embeds, output.text_embeds, output.image_embeds, output.text_embeds, torch.arange(6),
        clip.logit_scale.exp(), None, same, valid, "infonce",
    )  # fmt: skip
    torch.testing.assert_close(terms.mean(), output.loss)


@pytest.mark.parametrize("form", ["infonce", "sigmoid"])
def test_contrastive_terms_by_a_plain_loop(form):
    image, text, same, valid = pairs(6)
    same[0, 3] = same[3, 0] = True
    valid[5] = False
    scale, bias = torch.tensor(4.0), torch.tensor(-1.5)
    found = contrastive_terms(image, text, image, text, torch.arange(6), scale, bias, same, valid, form)
    products = (4.0 * image.double() @ text.double().T).numpy()
    for own in range(6):
        others = [j for j in range(6) if j == own or (valid[j] and not same[own, j])]
        if form == "infonce":
            forward = -products[own, own] + math.log(sum(math.exp(products[own, j]) for j in others))
            backward = -products[own, own] + math.log(sum(math.exp(products[j, own]) for j in others))
            expected = (forward + backward) / 2
        else:
            expected = sum(math.log1p(math.exp(-(1 if j == own else -1) * (products[own, j] - 1.5))) for j in others)
        if valid[own]:
            assert found[own].item() == pytest.approx(expected, rel=1e-5)


def test_a_photo_of_the_same_place_is_no_negative():
    image, text, same, valid = pairs(4)
    text[1] = text[0]
    arguments = (image, text, image, text, torch.arange(4), torch.tensor(10.0), None)
    apart = contrastive_terms(*arguments, same, valid, "infonce")
    same[0, 1] = same[1, 0] = True
    together = contrastive_terms(*arguments, same, valid, "infonce")
    assert together[0] < apart[0] and together[2] == apart[2]


@pytest.fixture
def task_inputs():
    import pandas as pd

    count = 12
    latitude, longitude = places(count, 7)
    ids = [f"p{number}" for number in range(count)]
    rng = np.random.default_rng(8)
    labels = pd.DataFrame({"photo_id": ids, "climate": rng.integers(1, 31, count), "month": rng.integers(1, 13, count)})
    labels = labels.astype({"climate": "Float64", "month": "Float64"})
    for column in REGRESSIONS:
        labels[column] = rng.uniform(1, 300, count)
    labels.loc[2, "month"] = None
    labels.loc[3, ["temperature_c", "temperature_range_c"]] = np.nan
    labels.loc[4, "precipitation_range_mm"] = np.nan
    photos = pd.DataFrame({"photo_id": ids, "latitude": latitude, "longitude": longitude})
    assignments = pd.DataFrame({"photo_id": ids[1:], "cell_id": np.arange(count - 1) % 5})
    scales = LabelScales.fit(labels)
    return make_targets(photos, labels, assignments, scales), scales, labels


def test_all_eight_tasks_have_a_loss_and_missing_labels_none(task_inputs):
    targets, _, _ = task_inputs
    cells = SmoothedCells(*tensors(*places(5, 9)), 65, "normalised")
    torch.manual_seed(0)
    outputs = GeoHeads(6, 5)(torch.randn(12, 6))
    losses, known = task_losses(outputs, targets, cells), known_tasks(targets)
    assert set(losses) == {"cell", *TASKS} and len(TASKS) == 8
    missing = {"cell": 0, "month": 2, "temperature": 3}
    for task, loss in losses.items():
        assert loss.shape == (12,) and torch.isfinite(loss).all()
        assert (~known[task]).nonzero().flatten().tolist() == ([missing[task]] if task in missing else [])
        assert (loss[~known[task]] == 0).all()
    index = list(REGRESSIONS).index("precipitation_mm")
    alone = (outputs["regression"][4, index] - targets["regression"][4, index]) ** 2
    assert losses["precipitation"][4].item() == pytest.approx(alone.item(), rel=1e-5)


def test_scales_are_restored_in_their_units(task_inputs):
    _, scales, labels = task_inputs
    for column in REGRESSIONS:
        values = labels[column].to_numpy()
        standard = scales.standardise(column, values)
        assert np.nanmean(standard) == pytest.approx(0, abs=1e-9) and np.nanstd(standard) == pytest.approx(1)
        np.testing.assert_allclose(scales.restore(column, standard), values, rtol=1e-9)


def test_coordinates_are_on_the_globe():
    outputs = GeoHeads(6, 5)(torch.randn(500, 6) * 100)
    assert outputs["latitude"].abs().max() <= 90 and outputs["longitude"].abs().max() <= 180


def test_coordinates_are_never_rounded_to_half_precision():
    heads, vectors = GeoHeads(6, 5), torch.randn(50, 6, generator=torch.manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = heads(vectors)
    for name in ("latitude", "longitude", "regression"):
        torch.testing.assert_close(rounded[name], heads(vectors)[name], rtol=1e-5, atol=1e-4)


def test_a_panorama_is_the_mean_of_its_views():
    heads, views = GeoHeads(6, 5).eval(), torch.randn(3, 4, 6)
    for name, value in heads(views).items():
        torch.testing.assert_close(value, heads(views.mean(dim=1))[name])
