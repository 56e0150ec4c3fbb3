"""Synthetic captions: the clues of each photo, and their sampling."""
