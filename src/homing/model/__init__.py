"""Encoders, heads, losses, and the saved geolocator."""
