"""Which photos are in which batch: one permutation of all training photos per epoch, for any number of processes."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Batch:
    """A global batch of N items as one process sees it, n of them its own.

    items: (n,) own items. real: (n,) false for padding, which fills up the last process's share. all_items, all_real:
    (N,) those of all processes in order. rows: (n,) positions of the own items among all.
    """

    step: int
    epoch: int
    items: np.ndarray
    real: np.ndarray
    all_items: np.ndarray
    all_real: np.ndarray
    rows: np.ndarray

    def part(self, own: slice) -> "Batch":
        """Return the batch with a slice of the own items."""
        return replace(self, items=self.items[own], real=self.real[own], rows=self.rows[own])


@dataclass(frozen=True)
class DistributedBatchSampler:
    """Shuffled global batches of `photos` items. The last batch of an epoch may be smaller."""

    photos: int
    global_batch: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """The number of global batches of an epoch."""
        return -(-self.photos // self.global_batch)

    def global_items(self, epoch: int, step: int) -> np.ndarray:
        """Return the items (N,) of a global batch; `step` counts within the epoch. An epoch has each item once."""
        return _permutation(self.seed, epoch, self.photos)[step * self.global_batch : (step + 1) * self.global_batch]

    def local_batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Return the batch of a step as process `rank` sees it; `step` counts from the beginning of the training."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        global_items = self.global_items(epoch, step_in_epoch)
        slices = [local_slice(global_items, number, world_size) for number in range(world_size)]
        items, real = slices[rank]
        all_items, all_real = (np.concatenate(part) for part in zip(*slices, strict=True))
        return Batch(step, epoch, items, real, all_items, all_real, rank * len(items) + np.arange(len(items)))


@lru_cache(maxsize=2)  # an epoch's and, while prefetching, the next one's
def _permutation(seed: int, epoch: int, photos: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(photos)


def local_slice(items: np.ndarray, rank: int, world_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of one process, and true for each that is real: padding repeats an item.

    Processes take contiguous slices of equal length. Concatenated in order, the real items are `items`.
    """
    size = -(-len(items) // world_size)
    padded = np.concatenate([items, np.repeat(items[:1], size * world_size - len(items))])
    real = np.arange(size * world_size) < len(items)
    chosen = slice(rank * size, (rank + 1) * size)
    return padded[chosen], real[chosen]
