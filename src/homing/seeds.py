"""Random draws that depend on what is drawn for, and on nothing else."""

import hashlib

import numpy as np


def photo_rng(seed: int, epoch: int, photo_id: str) -> np.random.Generator:
    """The random generator of one photo in one epoch, the same in any batch, on any process, after any resume."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{photo_id}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
