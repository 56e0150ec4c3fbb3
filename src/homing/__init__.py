"""Homing: from raw downloads to a trained photo geolocator."""

from importlib import import_module

__version__ = "0.1.0"


def load(path, device: str = "auto"):
    """The model package in a folder, ready for `.predict(images)`: a homing.package.package.GeolocatorPackage.

    It is imported by its name when it is asked for, so that `import homing` costs nothing and no rule depends on it.
    """
    return import_module(f"{__name__}.package.package").GeolocatorPackage.load(path, device)
