"""The heads on top of an embedding, and their losses: geocells and the eight auxiliary tasks (`homing.tasks`)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from homing.model.images import normalise
from homing.model.losses import haversine_km
from homing.model.smoothing import SmoothedCells
from homing.tasks import CLASS_TASKS, REGRESSIONS, TASKS

if TYPE_CHECKING:  # transformers takes seconds to import, and heads that answer embeddings need none of it
    from homing.model.encoders import ImageEncoder

# Regression task -> its columns of the regression head's output.
TASK_COLUMNS = {
    task.name: [index for index, column in enumerate(REGRESSIONS) if column in task.columns]
    for task in dict.fromkeys(REGRESSIONS.values())
}
KM_PER_UNIT = 1000.0  # the haversine losses are in thousands of km, so that their size is that of the others


class GeoHeads(nn.Module):
    """One linear layer per task on an embedding of `dimension`: `cells` geocells and the eight auxiliary tasks."""

    def __init__(self, dimension: int, cells: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dimension)
        self.cell = nn.Linear(dimension, cells)
        self.climate = nn.Linear(dimension, TASKS["climate"].classes)
        self.month = nn.Linear(dimension, TASKS["month"].classes)
        self.regression = nn.Linear(dimension, len(REGRESSIONS))
        self.direction = nn.Linear(dimension, 3)

    def forward(self, vectors: Tensor) -> dict[str, Tensor]:
        """Embeddings (n, d), or (n, views, d) which are averaged, to logits, standardised values and coordinates."""
        vectors = self.norm((vectors.mean(dim=1) if vectors.dim() == 3 else vectors).float())
        cell = self.cell(vectors)
        with torch.autocast(vectors.device.type, enabled=False):  # bf16 coordinates would be off by tens of kilometres
            x, y, z = functional.normalize(self.direction(vectors), dim=1, eps=1e-6).unbind(dim=1)
            return {
                "cell": cell,
                "climate": self.climate(vectors),
                "month": self.month(vectors),
                "regression": self.regression(vectors),
                "latitude": torch.rad2deg(torch.asin(z.clamp(-1 + 1e-6, 1 - 1e-6))),
                "longitude": torch.rad2deg(torch.atan2(y, x)),
            }


class Classifier(nn.Module):
    """Heads on an encoder, or on cached embeddings if there is none."""

    def __init__(self, encoder: "ImageEncoder | None", heads: GeoHeads, pooling: str) -> None:
        super().__init__()
        self.encoder, self.heads, self.pooling = encoder, heads, pooling

    def forward(self, inputs: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs of the heads for embeddings (n, d), or images uint8 (n, 3, s, s) or (n, views, 3, s, s)."""
        if self.encoder is None:
            return self.heads(inputs)
        return self.heads(self.encoder(normalise(inputs, self.encoder.preprocessing), self.pooling, kept))


def known_tasks(targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Per task which photos (n,) have a label for it; also of "hierarchy"."""
    known_cell = targets["cell"] >= 0
    known_values = ~targets["regression"].isnan()
    masks = {"cell": known_cell, "hierarchy": known_cell}
    masks |= {task: targets[task] >= 0 for task in CLASS_TASKS}
    masks |= {task: known_values[:, columns].any(dim=1) for task, columns in TASK_COLUMNS.items()}
    everywhere = torch.ones_like(known_cell)
    return masks | {"latitude": everywhere, "longitude": everywhere}


def task_losses(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    cells: SmoothedCells,
    levels: Sequence[Tensor] = (),
) -> dict[str, Tensor]:
    """Loss (n,) of "cell" and each of the eight tasks, 0 where its label is missing.

    With `levels`, as of `hierarchy_loss`, "hierarchy" is one of them.
    """
    latitude, longitude = targets["latitude"], targets["longitude"]
    true_cell = targets["cell"].clamp(min=0)
    losses = {"cell": cells.loss(outputs["cell"], latitude, longitude, true_cell)}
    if levels:
        losses["hierarchy"] = hierarchy_loss(outputs["cell"], true_cell, levels)
    for task in CLASS_TASKS:
        losses[task] = functional.cross_entropy(outputs[task], targets[task].clamp(min=0), reduction="none")
    losses |= _regression_losses(outputs["regression"], targets["regression"])
    losses["latitude"] = haversine_km(outputs["latitude"], longitude, latitude, longitude) / KM_PER_UNIT
    losses["longitude"] = haversine_km(latitude, outputs["longitude"], latitude, longitude) / KM_PER_UNIT
    masks = known_tasks(targets)
    return {task: torch.where(masks[task], loss, 0.0) for task, loss in losses.items()}


def hierarchy_loss(logits: Tensor, true_cell: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Cross entropy (n,), fp32, of the node that a photo's cell belongs to, averaged over coarser levels.

    levels: per level the node (C,) of each cell. The logit of a node is the log-sum-exp of its cells' logits: so the
    probability of a country is the sum over its cells, as it is told to users, and no level needs weights of its own.
    """
    logits = logits.float()
    everything = logits.logsumexp(dim=1)
    losses = torch.zeros_like(everything)
    for nodes in levels:
        outside = nodes[None, :] != nodes[true_cell][:, None]
        losses = losses + everything - logits.masked_fill(outside, -torch.inf).logsumexp(dim=1)
    return losses / len(levels)


def _regression_losses(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Squared errors, averaged over the columns of each task that are known."""
    known = ~target.isnan()
    squared = torch.where(known, predicted - target.nan_to_num(), 0.0).square()
    return {
        task: squared[:, columns].sum(dim=1) / known[:, columns].sum(dim=1).clamp(min=1)
        for task, columns in TASK_COLUMNS.items()
    }
