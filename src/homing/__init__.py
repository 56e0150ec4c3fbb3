"""Homing: from raw downloads to a trained photo geolocator."""

__version__ = "0.1.0"


def load(path, device: str | None = None):
    """The geolocator saved in the model package `path` (`results/runs/<run>/model/`), ready to `predict` images."""
    from homing.model.package import GeolocatorPackage

    return GeolocatorPackage.load(path, device=device)
