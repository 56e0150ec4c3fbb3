"""Cross entropy against haversine-smoothed targets, without a dense matrix of targets.

The target of a photo is exp(-(distance to the cell - distance to the true cell) / tau) over the cells, negligible
beyond a few hundred kilometres. So the neighbours of each cell are found once, distances are measured only to those of
the true cell, and the gradient is the softmax minus the few targets.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from homing.model.losses import distances_km, smoothing_weights, squared_chords, unit_vectors
from homing.sphere import EARTH_RADIUS_KM

NEGLIGIBLE = 1e-9  # weight, relative to the nearest cell's, below which a cell is ignored
SLACK = 3.0  # times tau: photos farther than this from their cell's centroid are measured to all cells
DENSE_SHARE = 0.25  # of all cells: with more neighbours, distances are measured to all cells
ROWS = 256  # photos per chunk if distances are measured to all cells


class SmoothedCells:
    """Cells by their centroids, latitude and longitude (C,), and the smoothing of the `finetune` configuration."""

    def __init__(self, latitude: Tensor, longitude: Tensor, tau_km: float, form: str) -> None:
        self.latitude, self.longitude, self.tau_km, self.form = latitude.double(), longitude.double(), tau_km, form
        self.vectors = unit_vectors(latitude, longitude)
        self.near: Tensor | None = None  # (C, K) the cells around each cell, padded with itself
        self.is_near: Tensor | None = None  # (C, K) false for padding
        if form != "none":
            self._find_neighbours(tau_km * -math.log(NEGLIGIBLE) + 2 * SLACK * tau_km)

    def __len__(self) -> int:
        return len(self.latitude)

    def to(self, device: torch.device) -> "SmoothedCells":
        """Move to a device, in place."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def _find_neighbours(self, radius_km: float) -> None:
        """Find the cells within a radius of each cell, unless they are too many.

        A photo at most s from its true cell's centroid g has d(photo, cell) >= d(g, cell) - s. So a cell farther than
        r + 2 s from g is at least r + s away, r more than g itself is, and r is where weights vanish.
        """
        chord = 2 * math.sin(min(radius_km / EARTH_RADIUS_KM, math.pi) / 2)
        rows, columns = [], []
        for start in range(0, len(self), ROWS):
            squares = squared_chords(self.vectors[start : start + ROWS, None], self.vectors[None])
            row, column = (squares <= chord**2).nonzero(as_tuple=True)
            rows.append(row + start)
            columns.append(column)
        row, column = torch.cat(rows), torch.cat(columns)
        count = torch.bincount(row, minlength=len(self))
        if int(count.max()) > DENSE_SHARE * len(self):
            return
        place = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
        near = torch.arange(len(self), device=row.device)[:, None].repeat(1, int(count.max()))
        near[row, place] = column
        self.near = near
        self.is_near = torch.arange(near.shape[1], device=row.device) < count[:, None]

    def loss(self, logits: Tensor, latitude: Tensor, longitude: Tensor, true_cell: Tensor) -> Tensor:
        """Return the cross entropy (n,), fp32, of logits (n, C) in any precision.

        latitude, longitude, true_cell: (n,) of the photos. Coordinates in float64 are used in full precision.
        """
        if self.form == "none":
            return functional.cross_entropy(logits.float(), true_cell, reduction="none")
        return _SmoothedCrossEntropy.apply(logits, unit_vectors(latitude, longitude), true_cell, self)

    def pieces(self, points: Tensor, true_cell: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield chunks of rows (r,) of the photos at points (n, 3), cells (r, k) or (1, C), and targets (r, k)."""
        rows = torch.arange(len(points), device=points.device)
        if self.near is not None and self.is_near is not None:
            is_far = distances_km(points, self.vectors[true_cell]) > SLACK * self.tau_km
            near, rows = rows[~is_far], rows[is_far]
            of_cells = true_cell[near]
            columns = self.near[of_cells]
            targets = self._targets(points[near], of_cells, self.vectors[columns], self.is_near[of_cells])
            yield near, columns, targets
        everything = torch.arange(len(self), device=points.device)[None]
        for part in rows.split(ROWS) if len(rows) else []:
            yield part, everything, self._targets(points[part], true_cell[part], self.vectors[None], None)

    def _targets(self, points: Tensor, true_cell: Tensor, others: Tensor, real: Tensor | None) -> Tensor:
        exponents = (
            distances_km(points, self.vectors[true_cell])[:, None] - distances_km(points[:, None], others)
        ) / self.tau_km
        exponents = exponents if real is None else exponents.masked_fill_(~real, -torch.inf)
        return smoothing_weights(exponents, self.form)


class _SmoothedCrossEntropy(torch.autograd.Function):
    """The loss of each photo. Its gradient, (sum of targets) x softmax - targets, is computed in the forward pass."""

    @staticmethod
    def forward(context, logits: Tensor, points: Tensor, true_cell: Tensor, cells: SmoothedCells) -> Tensor:
        logarithms = torch.log_softmax(logits.float(), dim=1)
        losses = torch.empty(len(logits), device=logits.device)
        totals = torch.empty_like(losses)
        taken = []
        for rows, columns, targets in cells.pieces(points, true_cell):
            places = rows[:, None] * len(cells) + columns
            losses[rows] = -(targets * logarithms.take(places)).sum(dim=1)
            totals[rows] = targets.sum(dim=1)
            taken.append((places, targets))
        if context.needs_input_grad[0]:
            gradient = logarithms.exp_()
            if cells.form == "paper":
                gradient *= totals[:, None]
            for places, targets in taken:
                gradient.view(-1).scatter_add_(0, places.view(-1), -targets.view(-1))
            context.save_for_backward(gradient.to(logits.dtype))
        return losses

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (own,) = context.saved_tensors
        return own.mul_(gradient[:, None]), None, None, None  # in place, which saves a matrix; backward runs once
