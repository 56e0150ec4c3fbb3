"""Which photos are in which batch: one permutation of all training photos per epoch, for any number of processes."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Batch:
    """A global batch as one process sees it: its own items, and all processes' items in order, padded.

    `real` is false where an item only fills up the last process's share; `rows` are the own items' places among all.
    """

    step: int
    epoch: int
    items: np.ndarray
    real: np.ndarray
    all_items: np.ndarray
    all_real: np.ndarray
    rows: np.ndarray

    def part(self, own: slice) -> "Batch":
        """The same batch with some of the own items."""
        return replace(self, items=self.items[own], real=self.real[own], rows=self.rows[own])


@dataclass(frozen=True)
class Order:
    """The order of `photos` items in batches of `global_batch`; the last batch of an epoch may be smaller."""

    photos: int
    global_batch: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.photos // self.global_batch)

    def batch(self, epoch: int, step: int) -> np.ndarray:
        """Items of one global batch (step counts within the epoch). Each item is in exactly one batch of an epoch."""
        return _permutation(self.seed, epoch, self.photos)[step * self.global_batch : (step + 1) * self.global_batch]

    def view(self, step: int, process: int, processes: int) -> Batch:
        """The batch of a step, counted from the beginning of the training, as one of the processes sees it."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        batch = self.batch(epoch, step_in_epoch)
        slices = [local_slice(batch, number, processes) for number in range(processes)]
        items, real = slices[process]
        everyone = (np.concatenate(part) for part in zip(*slices, strict=True))
        return Batch(step, epoch, items, real, *everyone, rows=process * len(items) + np.arange(len(items)))


@lru_cache(maxsize=2)  # an epoch's, and the next one's while it is read ahead
def _permutation(seed: int, epoch: int, photos: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(photos)


def local_slice(batch: np.ndarray, process: int, processes: int) -> tuple[np.ndarray, np.ndarray]:
    """The items of one process, and whether each is real (False: padding that repeats an item, so that all are equal).

    Processes take contiguous slices of equal length; concatenated in order, the real items are the batch.
    """
    size = -(-len(batch) // processes)
    padded = np.concatenate([batch, np.repeat(batch[:1], size * processes - len(batch))])
    real = np.arange(size * processes) < len(batch)
    chosen = slice(process * size, (process + 1) * size)
    return padded[chosen], real[chosen]
