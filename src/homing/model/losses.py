"""The losses, in fp32, each a pure function of tensors.

Coordinates are never rounded below fp32: bf16 unit vectors would be off by hundreds of kilometres.
"""

import torch
from torch import Tensor
from torch.nn import functional

from homing.sphere import EARTH_RADIUS_KM


def haversine_km(latitude_a: Tensor, longitude_a: Tensor, latitude_b: Tensor, longitude_b: Tensor) -> Tensor:
    """Great-circle distance in km of broadcast degrees; differentiable, with a finite gradient at zero distance."""
    lat_a, lon_a, lat_b, lon_b = (
        torch.deg2rad(value.float()) for value in (latitude_a, longitude_a, latitude_b, longitude_b)
    )
    chord = (
        torch.sin((lat_b - lat_a) / 2) ** 2 + torch.cos(lat_a) * torch.cos(lat_b) * torch.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * torch.asin(torch.sqrt(chord.clamp(1e-12, 1 - 1e-7)))


def unit_vectors(latitude: Tensor, longitude: Tensor) -> Tensor:
    """Points on the unit sphere, (..., 3), fp32."""
    lat, lon = torch.deg2rad(latitude.double()), torch.deg2rad(longitude.double())
    vectors = torch.stack([torch.cos(lat) * torch.cos(lon), torch.cos(lat) * torch.sin(lon), torch.sin(lat)], dim=-1)
    return vectors.float()


def distances_km(latitude: Tensor, longitude: Tensor, cell_latitude: Tensor, cell_longitude: Tensor) -> Tensor:
    """Distances (n, C) of photos to cells, from the chord of coordinate differences: half a metre of error in fp32.

    The dot product of unit vectors would cancel near zero and be off by 2 km.
    """
    points, cells = unit_vectors(latitude, longitude), unit_vectors(cell_latitude, cell_longitude)
    chord = (points[:, None, :] - cells[None, :, :]).square().sum(-1).sqrt()
    return 2 * EARTH_RADIUS_KM * torch.asin((chord / 2).clamp(max=1))


def smoothed_targets(
    cell_latitude: Tensor,
    cell_longitude: Tensor,
    latitude: Tensor,
    longitude: Tensor,
    true_cell: Tensor,
    tau_km: float,
    form: str,
) -> Tensor:
    """Haversine-smoothed targets (n, C): exp(-(distance to the cell - distance to the true cell) / tau).

    `form` is "normalised" (rows sum to 1), "paper" (unnormalised; the true cell has weight 1) or "none" (one-hot).
    Haas et al., "PIGEON", CVPR 2024, equation 2.
    """
    if form == "none":
        return functional.one_hot(true_cell, len(cell_latitude)).float()
    distances = distances_km(latitude, longitude, cell_latitude, cell_longitude)
    exponents = -(distances - distances.gather(1, true_cell[:, None])) / tau_km
    return torch.softmax(exponents, dim=1) if form == "normalised" else torch.exp(exponents)


def smoothed_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy (n,) of logits (n, C) against soft targets (n, C), in fp32."""
    return -(targets * torch.log_softmax(logits.float(), dim=1)).sum(dim=1)


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
    """The contrastive loss (n,) of each local photo against all N candidates of the global batch.

    image, text: (n, d) local unit vectors; all_image, all_text: (N, d); rows: (n,) positions of the local photos among
    the N; same: (n, N) pairs that are no negatives of each other (the own pair is always the positive); valid: (N,)
    false for padding. `form` is "infonce" (Radford et al. 2021) or "sigmoid" (Zhai et al. 2023, needs logit_bias).
    """
    own = functional.one_hot(rows, len(all_text)).bool()
    ignored = (same & ~own) | ~valid[None, :]
    to_text = logit_scale * image.float() @ all_text.float().T
    if form == "sigmoid":
        signs = torch.where(own, 1.0, -1.0)
        return -functional.logsigmoid(signs * (to_text + logit_bias)).masked_fill(ignored, 0).sum(dim=1)
    to_image = logit_scale * text.float() @ all_image.float().T
    both = [
        functional.cross_entropy(logits.masked_fill(ignored, -torch.inf), rows, reduction="none")
        for logits in (to_text, to_image)
    ]
    return (both[0] + both[1]) / 2
