"""Random generators that depend only on what they are drawn for."""

import hashlib

import numpy as np


def photo_rng(seed: int, epoch: int, photo_id: str) -> np.random.Generator:
    """Return the generator of a photo in an epoch: the same in any batch, on any process and after any resume."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{photo_id}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
