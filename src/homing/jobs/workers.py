"""Work side by side: a Dask cluster within a job, and threads that leave their core while they wait.

The cluster is of processes of one thread each, whose functions lie in importable modules.
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
    """Tell OpenMP so, before a library of it is loaded, here and in what this process starts; unless told otherwise.

    Its threads turn in circles while they wait for each other. Where others work too, a thread that waits holds the
    core of the one it waits for, and a small model trains ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def run(function: Callable[..., Any], tasks: Sequence[tuple], workers: int) -> list[Any]:
    """The results of `function(*task)` for each task, in their order; begun in it too, so the longest should be first.

    A task whose worker died is done again by another. A HomingError of a task is raised here as it was. Dask's own
    watch over memory is off: it counts files mapped into memory, and would halt workers that use little.
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
    raise HomingError(message)  # anew, outside: what GDAL raised before it cannot be sent to another process


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """New processes run the main module again, unless it stands under a guard. A rule's script does not."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
