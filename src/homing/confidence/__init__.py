"""Probabilities: calibration, regions that hold the true place, and what both are worth."""
