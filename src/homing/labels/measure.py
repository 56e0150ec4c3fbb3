"""Look-ups at many points, in this process or on the workers of a Dask cluster within the job."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from homing.jobs.workers import run

CLUSTER_FROM = 20_000  # points; fewer take less time than starting a cluster
WORKER_MB = 1_200  # per worker beside its points: Python, GDAL's cache, the pages of the grid it reads
POINT_BYTES = 160  # per point, of the arrays of a task


class Lookup(Protocol):
    """Anything that returns named columns for points. It is picklable, so that it can be sent to a worker."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> Mapping[str, np.ndarray]: ...

    def identity(self) -> tuple: ...


def column_type(name: str) -> type:
    """Return the dtype of a column: int32 for area numbers (missing: -1), float32 for all others (missing: NaN)."""
    return np.int32 if name == "area_number" else np.float32


def measure(
    latitude: np.ndarray,
    longitude: np.ndarray,
    lookups: Sequence[Lookup],
    workers: int,
    memory_mb: int,
    rows: int | None = None,
) -> dict[str, np.ndarray]:
    """Return all columns of all look-ups, (n,) each. The result does not depend on the number of workers or tasks.

    The points should be in the order of the space-filling curve. A task is one look-up at a slice of the points. The
    slice is all of them, so that each block of a raster is decoded once, unless there are more workers than look-ups or
    a worker lacks the memory. `rows` sets the points per task, `memory_mb` is the memory of all workers together.
    """
    count = len(latitude)
    if rows is None:
        slices = -(-workers // max(1, len(lookups)))
        fitting = int(max(memory_mb / workers - WORKER_MB, 16) * 1e6 / POINT_BYTES)
        rows = max(1, min(-(-count // slices), fitting))
    tasks = [(lookup, start, min(count, start + rows)) for start in range(0, count, rows) for lookup in lookups]
    names = [name for lookup in lookups for name in lookup.columns]
    if workers == 1 or count <= min(CLUSTER_FROM, rows):
        columns: dict[str, np.ndarray] = {name: np.empty(count, column_type(name)) for name in names}
        for lookup, start, stop in tasks:
            for name, values in lookup(latitude[start:stop], longitude[start:stop]).items():
                columns[name][start:stop] = values
        return columns
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "latitude.npy", latitude)
        np.save(Path(folder) / "longitude.npy", longitude)
        for name in names:
            np.lib.format.open_memmap(Path(folder) / f"{name}.npy", "w+", column_type(name), (count,))
        run(look_up_slice, [(lookup, folder, start, stop) for lookup, start, stop in tasks], workers)
        return {name: np.load(Path(folder) / f"{name}.npy") for name in names}


def look_up_slice(lookup: Lookup, folder: str, start: int, stop: int) -> None:
    """Look up a slice of the points saved in a folder, and write the result into the columns saved there."""
    latitude, longitude = (
        np.array(np.load(Path(folder) / f"{name}.npy", mmap_mode="r")[start:stop]) for name in ("latitude", "longitude")
    )
    for name, values in lookup(latitude, longitude).items():
        column = np.load(Path(folder) / f"{name}.npy", mmap_mode="r+")
        column[start:stop] = values
