"""From images to embeddings, batch by batch."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from homing.model.images import normalise
from homing.model.towers import VisionTower
from homing.training.ahead import load_ahead

if TYPE_CHECKING:
    from homing.training.images import Images

TOKENS = 65_536  # of a batch, roughly: enough to fill a GPU, 0.5 GB of a large tower's activations


@torch.inference_mode()
def embed_items(
    tower: VisionTower, images: "Images", items: np.ndarray, pooling: str, precision: str, device: torch.device
) -> np.ndarray:
    """Embeddings (n, d), float16, of some photos."""
    size = max(1, TOKENS // (tower.patches * images.views))
    chunks = np.split(items, range(size, len(items), size))
    found = []
    for _, pixels, _ in load_ahead(lambda chunk: images.batch(chunk, None), chunks):
        pixels = normalise(pixels.to(device, non_blocking=True), tower.preprocessing)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            found.append(tower(pixels, pooling).half())
    return torch.cat(found).cpu().numpy()
