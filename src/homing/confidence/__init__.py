"""Confidence: calibration of probabilities, regions that hold the true place, and metrics of both."""
