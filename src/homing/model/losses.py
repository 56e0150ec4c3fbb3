"""Losses as pure functions of tensors, in fp32.

Coordinates are never rounded below fp32: bf16 unit vectors would be off by hundreds of kilometres.
"""

import torch
from torch import Tensor
from torch.nn import functional

from homing.sphere import EARTH_RADIUS_KM

LARGEST_EXPONENT = 5.0  # of the paper's smoothing: 148 times the weight of the true cell


def haversine_km(latitude_a: Tensor, longitude_a: Tensor, latitude_b: Tensor, longitude_b: Tensor) -> Tensor:
    """Return great-circle distances in km of broadcast degrees, with a finite gradient at distance zero."""
    lat_a, lon_a, lat_b, lon_b = (
        torch.deg2rad(value.float()) for value in (latitude_a, longitude_a, latitude_b, longitude_b)
    )
    chord = (
        torch.sin((lat_b - lat_a) / 2) ** 2 + torch.cos(lat_a) * torch.cos(lat_b) * torch.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * torch.asin(torch.sqrt(chord.clamp(1e-12, 1 - 1e-7)))


def unit_vectors(latitude: Tensor, longitude: Tensor) -> Tensor:
    """Return unit vectors (..., 3), fp32, of degrees; computed in float64."""
    lat, lon = torch.deg2rad(latitude.double()), torch.deg2rad(longitude.double())
    vectors = torch.stack([torch.cos(lat) * torch.cos(lon), torch.cos(lat) * torch.sin(lon), torch.sin(lat)], dim=-1)
    return vectors.float()


def squared_chords(points: Tensor, others: Tensor) -> Tensor:
    """Return squared chord lengths of broadcast unit vectors (..., 3), written out for speed.

    From coordinate differences: the dot product of unit vectors would cancel near zero and be off by 2 km.
    """
    x, y, z = (points[..., axis] - others[..., axis] for axis in range(3))
    return x * x + y * y + z * z


def distances_km(points: Tensor, others: Tensor) -> Tensor:
    """Return great-circle distances in km of broadcast unit vectors (..., 3), to half a metre in fp32."""
    return squared_chords(points, others).sqrt_().div_(2).clamp_(max=1).asin_().mul_(2 * EARTH_RADIUS_KM)


def smoothing_weights(exponents: Tensor, form: str) -> Tensor:
    """Return weights (n, k) of cells from exponents (n, k): -(distance to the cell - distance to the true cell) / tau.

    Haas et al., "PIGEON", CVPR 2024, equation 2: "paper" is its form, "normalised" makes each row sum to 1. In the
    paper's form a cell nearer than the true one weighs more than 1, without bound: here at most exp(LARGEST_EXPONENT).
    """
    if form == "normalised":
        return torch.softmax(exponents, dim=1)
    return torch.exp(exponents.clamp(max=LARGEST_EXPONENT))


def contrastive_terms(
    image: Tensor,
    text: Tensor,
    all_image: Tensor,
    all_text: Tensor,
    rows: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor | None,
    same: Tensor,
    valid: Tensor,
    form: str,
) -> Tensor:
    """Return the contrastive loss (n,) of each local photo against all N candidates of the global batch.

    image, text: (n, d) local unit vectors; all_image, all_text: (N, d); rows: (n,) positions of the local photos among
    the N; same: (n, N) true for pairs that are not negatives (the own pair is always the positive); valid: (N,)
    false for padding. `form` is "infonce" (Radford et al. 2021) or "sigmoid" (Zhai et al. 2023, needs logit_bias).
    """
    own = functional.one_hot(rows, len(all_text)).bool()
    ignored = (same & ~own) | ~valid[None, :]
    to_text = logit_scale * image.float() @ all_text.float().T
    if form == "sigmoid":
        assert logit_bias is not None
        signs = torch.where(own, 1.0, -1.0)
        return -functional.logsigmoid(signs * (to_text + logit_bias)).masked_fill(ignored, 0).sum(dim=1)
    to_image = logit_scale * text.float() @ all_image.float().T
    both = [
        functional.cross_entropy(logits.masked_fill(ignored, -torch.inf), rows, reduction="none")
        for logits in (to_text, to_image)
    ]
    return (both[0] + both[1]) / 2
