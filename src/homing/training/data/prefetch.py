"""Batches loaded ahead of the step in a thread, and how long the step waited for them all the same."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from homing.training.data.sampler import Batch

Loaded = TypeVar("Loaded")

DEPTH = 2  # batches ahead of the one in work: one that is ready, one under way


def load_ahead(load: Callable[[Batch], Loaded], batches: Iterable[Batch]) -> Iterator[tuple[Batch, Loaded, float]]:
    """Each batch, what `load` gives for it, and the seconds waited. An exception of `load` is raised at its batch."""
    pool = ThreadPoolExecutor(1)
    coming: deque[tuple[Batch, Future[Loaded]]] = deque()
    try:
        for batch in batches:
            coming.append((batch, pool.submit(load, batch)))
            if len(coming) > DEPTH:
                yield _waited_for(*coming.popleft())
        while coming:
            yield _waited_for(*coming.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _waited_for(batch: Batch, loading: "Future[Loaded]") -> tuple[Batch, Loaded, float]:
    started = time.monotonic()
    loaded = loading.result()
    return batch, loaded, time.monotonic() - started
