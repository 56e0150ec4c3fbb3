"""Embeddings of all photos of a data set, in the order of the photo table."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from homing import tables
from homing.files import atomic_path
from homing.model.clip import embed, load_vision
from homing.model.images import normalise
from homing.photos.shards import ShardReader
from homing.training.images import Images

log = logging.getLogger(__name__)

BATCH = 128


@torch.inference_mode()
def embed_photos(
    photos: Mapping[str, str], encoder: str | Path, pooling: str, outputs: Mapping[str, str], threads: int
) -> None:
    """Write vectors.npy, float16 (n, d), and photo_ids.parquet, of the photos that have an image."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(encoder)
    vision, preprocessing = load_vision(folder / "vision" if (folder / "vision").is_dir() else folder)
    vision = vision.eval().to(device)
    reader = ShardReader(photos["shards"], photos["index"])
    names = tables.read(photos["photos"], "photos", columns=["photo_id"])["photo_id"]
    names = names[[name in reader for name in names]].reset_index(drop=True)
    images = Images(reader, names, preprocessing.side, augment=False, seed=0, threads=threads)
    images.cache = None  # every photo is read once
    with atomic_path(outputs["vectors"]) as partial:
        shape = (len(names), vision.config.hidden_size)
        vectors = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, len(names), BATCH):
            items = np.arange(start, min(start + BATCH, len(names)))
            pixels = normalise(images.batch(items, None).to(device), preprocessing)
            vectors[items] = embed(vision, pixels, pooling).cpu().numpy()
        vectors.flush()
    with atomic_path(outputs["photo_ids"]) as partial:
        pd.DataFrame({"photo_id": names}).to_parquet(partial, index=False)
    log.info("%d photos, %d dimensions", *shape)
