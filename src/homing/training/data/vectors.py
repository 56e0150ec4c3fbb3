"""Embeddings of images, batch by batch, and cached embeddings as inputs of the heads."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from homing.model.encoders import ImageEncoder
from homing.model.images import normalise
from homing.model.precision import autocast
from homing.training.data.prefetch import prefetch

TOKENS = 65_536  # per batch, roughly: fills a GPU; 0.5 GB of activations of a large encoder


class ImageSource(Protocol):
    """Gives images by item; `homing.training.data.images.ImageLoader` is one."""

    views: int

    def batch(self, items: np.ndarray, epoch: int | None) -> Tensor:
        """Return images, uint8 (n, 3, s, s) or (n, views, 3, s, s)."""


class EmbeddingInputs:
    """Photos as cached embeddings (photos, d)."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = torch.from_numpy(vectors)

    def __call__(self, items: np.ndarray, epoch: int | None) -> tuple[Tensor, ...]:
        """Return the embeddings (n, d) of items, in pinned memory if there is a GPU."""
        shape = (len(items), self.vectors.shape[1])
        chosen = torch.empty(shape, dtype=self.vectors.dtype, pin_memory=torch.cuda.is_available())
        return (torch.index_select(self.vectors, 0, torch.from_numpy(items), out=chosen),)


@torch.inference_mode()
def embed_items(
    encoder: ImageEncoder, images: ImageSource, items: np.ndarray, pooling: str, precision: str, device: torch.device
) -> np.ndarray:
    """Return the embeddings (n, d), float16, of some photos."""
    size = max(1, TOKENS // (encoder.patches * images.views))
    chunks = np.split(items, range(size, len(items), size))
    vectors_nd = []
    for _, pixels, _ in prefetch(lambda chunk: images.batch(chunk, None), chunks):
        pixels = normalise(pixels.to(device, non_blocking=True), encoder.preprocessing)
        with autocast(device, precision):
            vectors_nd.append(encoder(pixels, pooling).half())
    return torch.cat(vectors_nd).cpu().numpy()
