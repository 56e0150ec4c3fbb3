"""Homing: from raw downloads to a trained photo geolocator."""

from importlib import import_module
from os import PathLike
from typing import Any

__version__ = "0.1.0"


def load(path: str | PathLike[str], device: str = "auto") -> Any:
    """Load a model package: a `homing.package.package.GeolocatorPackage`, ready for `.predict(images)`.

    The class is imported by name when it is needed, so that `import homing` is fast and no rule depends on it.
    """
    return import_module(f"{__name__}.package.package").GeolocatorPackage.load(path, device)
