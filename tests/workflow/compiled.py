"""What numba and Python compile, compiled once for all checkouts: each would do it again, for half a minute."""

import compileall
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from filelock import FileLock

from homing.evaluate.bootstrap import resample
from homing.jobs import code
from homing.labels.curve import curve_order, matches
from homing.labels.grid import Grid
from homing.labels.pixels import group_by_block, nearest_valid
from homing.optics import optics_clusters

SOURCE = Path(__file__).resolve().parents[2] / "src"


def copy_compiled(folder: Path) -> None:
    """Copy what is compiled of the sources to the same sources in `folder`: it holds while their bytes and dates do."""
    for path in _compiled():
        target = folder / path.relative_to(SOURCE)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(path, target)


@cache
def _compiled() -> list[Path]:
    with FileLock(SOURCE / "homing/__pycache__/compiled.lock"):
        points = np.random.default_rng(0).random((50, 3))
        latitude, longitude, distance = points.T.copy()
        grid = Grid.of(np.array([shapely.box(0, 0, 1, 1)]))
        grid.locate(latitude, longitude)
        grid.nearest(latitude, longitude, limit_km=100)
        curve_order(latitude, longitude)
        matches(latitude, longitude, latitude, longitude)
        group_by_block(np.arange(50), np.arange(50), 50, 50, 16, 16)
        nearest_valid(latitude, longitude, distance.copy(), distance, points, 0, 0, latitude, longitude, np.ones(50))
        optics_clusters(points, min_samples=5, xi=0.05)
        resample(points, np.arange(50), distance, quantiles=[0.5], draws=2)
        compileall.compile_dir(SOURCE / "homing", quiet=2)
        for script in (SOURCE.parent / "workflow/scripts").glob("*.py"):
            code.fingerprint(script)  # keeps the analysis of all modules beside their bytecode
    patterns = ("*.nbi", "*.nbc", f"*.{sys.implementation.cache_tag}.pyc", Path(code.ANALYSED).name)
    return [path for pattern in patterns for path in SOURCE.rglob(pattern)]
