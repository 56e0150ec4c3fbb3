"""Refinement: prototypes of the training photos, and the search for the place among the best cells."""
