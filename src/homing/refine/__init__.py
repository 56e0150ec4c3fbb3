"""Refinement: prototypes of the training photos, nearest-neighbour search, and readouts of one place per photo."""
