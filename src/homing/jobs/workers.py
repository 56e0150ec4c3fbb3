"""Parallel work within a job: a local Dask cluster, and OpenMP threads that sleep while they wait.

The workers are processes with one thread each. Functions that they run must lie in importable modules.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from homing.errors import HomingError

log = logging.getLogger(__name__)


def let_threads_sleep() -> None:
    """Set OMP_WAIT_POLICY=PASSIVE for this process and its children, unless it is set. Call before OpenMP is loaded.

    By default OpenMP's threads spin while they wait for each other. On a busy machine a spinning thread holds the core
    of the thread it waits for, and a small model trains ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def run(function: Callable[..., Any], tasks: Sequence[tuple], workers: int) -> list[Any]:
    """Return the results of `function(*task)` in the order of the tasks, which start in that order: long ones first.

    A task whose worker died is retried by another worker. A HomingError of a task is raised here. Dask's memory
    management is off: it counts memory-mapped files and would pause workers that use little memory.
    """
    import dask
    from dask.distributed import Client, KilledWorker, LocalCluster

    log.info("%d tasks on %d workers", len(tasks), workers)
    watch = {f"distributed.worker.memory.{level}": False for level in ("target", "spill", "pause", "terminate")}
    with (
        tempfile.TemporaryDirectory() as folder,
        _main_module_hidden(),
        dask.config.set(watch),
        LocalCluster(
            n_workers=min(workers, len(tasks)),
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            local_directory=folder,
            dashboard_address="127.0.0.1:0",  # not the default port, which every job of a node would open to all
        ) as cluster,
        Client(cluster) as client,
    ):
        priorities = range(len(tasks), 0, -1)
        futures = [
            client.submit(_answer, function, task, pure=False, priority=priority)
            for task, priority in zip(tasks, priorities, strict=True)
        ]
        try:
            return client.gather(futures)
        except KilledWorker:
            raise HomingError(
                "the workers of this job were killed again and again, as when memory ends: give it more "
                "(--set-resources RULE:mem_mb=...) or fewer workers (--set-threads RULE=1)"
            ) from None


def _answer(function: Callable[..., Any], task: tuple) -> Any:
    message = None
    try:
        return function(*task)
    except HomingError as error:
        message = str(error)
    raise HomingError(message)  # a new one: its cause, an error of GDAL, cannot be pickled


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Hide the main module: new processes would run it again, since a rule's script has no `__main__` guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
