"""From images to embeddings, batch by batch, and embeddings as what the heads are trained on."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from homing.model.encoders import ImageEncoder
from homing.model.images import normalise
from homing.model.precision import autocast
from homing.training.data.prefetch import load_ahead

if TYPE_CHECKING:
    from homing.training.data.images import Images

TOKENS = 65_536  # of a batch, roughly: enough to fill a GPU, 0.5 GB of a large encoder's activations


class VectorInputs:
    """Photos as cached embeddings (photos, d), in pinned memory where there is a GPU."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = torch.from_numpy(vectors)

    def __call__(self, items: np.ndarray, epoch: int | None) -> tuple[Tensor]:
        shape = (len(items), self.vectors.shape[1])
        chosen = torch.empty(shape, dtype=self.vectors.dtype, pin_memory=torch.cuda.is_available())
        return (torch.index_select(self.vectors, 0, torch.from_numpy(items), out=chosen),)


@torch.inference_mode()
def embed_items(
    encoder: ImageEncoder, images: "Images", items: np.ndarray, pooling: str, precision: str, device: torch.device
) -> np.ndarray:
    """Embeddings (n, d), float16, of some photos."""
    size = max(1, TOKENS // (encoder.patches * images.views))
    chunks = np.split(items, range(size, len(items), size))
    found = []
    for _, pixels, _ in load_ahead(lambda chunk: images.batch(chunk, None), chunks):
        pixels = normalise(pixels.to(device, non_blocking=True), encoder.preprocessing)
        with autocast(device, precision):
            found.append(encoder(pixels, pooling).half())
    return torch.cat(found).cpu().numpy()
