"""Training data: the sampler, prefetching, images and cached embeddings."""
