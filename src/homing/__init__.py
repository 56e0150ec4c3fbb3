"""Homing: from raw downloads to a trained photo geolocator."""

__version__ = "0.1.0"
