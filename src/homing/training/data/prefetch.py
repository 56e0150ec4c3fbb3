"""Prefetching: batches are loaded in a thread while the step before them runs."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

DEPTH = 2  # batches prefetched beyond the current one: one ready, one being loaded


def prefetch(load: Callable[[Item], Loaded], items: Iterable[Item]) -> Iterator[tuple[Item, Loaded, float]]:
    """Yield each item, the result of `load` for it, and the seconds waited for it.

    An exception of `load` is raised when its item is reached.
    """
    pool = ThreadPoolExecutor(1)
    pending: deque[tuple[Item, Future[Loaded]]] = deque()
    try:
        for item in items:
            pending.append((item, pool.submit(load, item)))
            if len(pending) > DEPTH:
                yield _wait(*pending.popleft())
        while pending:
            yield _wait(*pending.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _wait(item: Item, future: "Future[Loaded]") -> tuple[Item, Loaded, float]:
    started = time.monotonic()
    loaded = future.result()
    return item, loaded, time.monotonic() - started
