"""Synthetic captions: the clues of each photo, and random captions made of them."""
