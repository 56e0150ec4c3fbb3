"""Look-ups at many points: in this process, or spread over the workers of a Dask cluster within the job."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from homing.jobs.workers import run

CLUSTER_FROM = 20_000  # points; fewer are done before a cluster has started
WORKER_MB = 1_200  # of a worker beside its points: Python, GDAL's cache, the part of the grid it reads
POINT_BYTES = 160  # of a task's arrays


class Lookup(Protocol):
    """Answers about points: named columns, and what they depend on."""

    name: str

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> Mapping[str, np.ndarray]: ...

    def identity(self) -> tuple: ...


def column_type(name: str) -> type:
    """Numbers of areas are whole, -1 where there is none; all else has NaN there."""
    return np.int32 if name == "area_number" else np.float32


def measure(
    latitude: np.ndarray,
    longitude: np.ndarray,
    lookups: Sequence[Lookup],
    workers: int,
    memory_mb: int,
    rows: int | None = None,
) -> dict[str, np.ndarray]:
    """All columns of all look-ups, (n,) each. The result depends on neither workers nor tasks.

    The points should be in the order of a space-filling curve. A task is one look-up of a stretch of the curve: of all
    points, so that each block of a raster is decoded once, unless there are more workers than look-ups or the memory
    of a worker asks for less. `rows` sets the points of a task.
    """
    count = len(latitude)
    if rows is None:
        stretches = -(-workers // max(1, len(lookups)))
        fitting = int(max(memory_mb / workers - WORKER_MB, 16) * 1e6 / POINT_BYTES)
        rows = max(1, min(-(-count // stretches), fitting))
    tasks = [(lookup, start, min(count, start + rows)) for start in range(0, count, rows) for lookup in lookups]
    if workers == 1 or count <= min(CLUSTER_FROM, rows):
        columns = {name: np.empty(count, column_type(name)) for lookup in lookups for name in lookup.columns}
        for lookup, start, stop in tasks:
            for name, values in lookup(latitude[start:stop], longitude[start:stop]).items():
                columns[name][start:stop] = values
        return columns
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "latitude.npy", latitude)
        np.save(Path(folder) / "longitude.npy", longitude)
        for name in (name for lookup in lookups for name in lookup.columns):
            np.lib.format.open_memmap(Path(folder) / f"{name}.npy", "w+", column_type(name), (count,))
        run(look_up_slice, [(lookup, folder, start, stop) for lookup, start, stop in tasks], workers)
        return {name: np.load(Path(folder) / f"{name}.npy") for lookup in lookups for name in lookup.columns}


def look_up_slice(lookup: Lookup, folder: str, start: int, stop: int) -> None:
    """Look up some of the points saved in a folder, into the columns saved beside them."""
    latitude, longitude = (
        np.array(np.load(Path(folder) / f"{name}.npy", mmap_mode="r")[start:stop]) for name in ("latitude", "longitude")
    )
    for name, values in lookup(latitude, longitude).items():
        column = np.load(Path(folder) / f"{name}.npy", mmap_mode="r+")
        column[start:stop] = values
