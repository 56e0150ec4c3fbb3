"""Data of a training: the sampler, prefetching, images and cached vectors."""
