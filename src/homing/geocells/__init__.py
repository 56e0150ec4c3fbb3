"""Semantic geocells: a partition of the land along administrative borders, with a stated number of photos each."""
