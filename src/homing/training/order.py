"""Which photos are in which batch: one permutation of all training photos per epoch, for any number of processes."""

from dataclasses import dataclass

import numpy as np


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
        permutation = np.random.default_rng([self.seed, epoch]).permutation(self.photos)
        return permutation[step * self.global_batch : (step + 1) * self.global_batch]


def local_slice(batch: np.ndarray, process: int, processes: int) -> tuple[np.ndarray, np.ndarray]:
    """The items of one process, and whether each is real (False: padding that repeats an item, so that all are equal).

    Processes take contiguous slices of equal length; concatenated in order, the real items are the batch.
    """
    size = -(-len(batch) // processes)
    padded = np.concatenate([batch, np.repeat(batch[:1], size * processes - len(batch))])
    real = np.arange(size * processes) < len(batch)
    chosen = slice(process * size, (process + 1) * size)
    return padded[chosen], real[chosen]
