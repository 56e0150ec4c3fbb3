"""What numba compiles, compiled once for all checkouts of the repository: each would do it again, for half a minute."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from filelock import FileLock

from homing.evaluate.bootstrap import resample
from homing.labels.grid import Grid
from homing.optics import optics_clusters

SOURCE = Path(__file__).resolve().parents[2] / "src"


def copy_compiled(folder: Path) -> None:
    """Copy the compiled functions to the same sources in `folder`; they hold for the bytes that they were made from."""
    for path in _compiled():
        target = folder / path.relative_to(SOURCE)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(path, target)


@cache
def _compiled() -> list[Path]:
    with FileLock(SOURCE / "homing/__pycache__/compiled.lock"):
        points = np.random.default_rng(0).random((50, 3))
        grid = Grid.of(np.array([shapely.box(0, 0, 1, 1)]))
        grid.locate(points[:, 0], points[:, 1])
        grid.nearest(points[:, 0], points[:, 1], limit_km=100)
        optics_clusters(points, min_samples=5, xi=0.05)
        resample(points, np.arange(50), points[:, 0], quantiles=[0.5], draws=2)
    return [path for pattern in ("*.nbi", "*.nbc") for path in SOURCE.rglob(pattern)]
