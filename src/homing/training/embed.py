"""Embeddings of all photos of a data set, in the order of the photo table. `python -m homing.training.embed SPEC`

The photos are divided into parts of a fixed size, each written to a file of its own until all are done. A retry makes
only the missing parts. Processes take parts in turn, without communication, so that any number of them gives the same
bytes.
"""

import logging
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from homing import tables
from homing.errors import HomingError
from homing.files import atomic_path, read_json, translate_disk_full
from homing.jobs.fingerprint import of_inputs, of_values
from homing.jobs.job import start_log
from homing.photos.shards import ShardReader
from homing.training.checkpoint import Checkpoints
from homing.training.launch.accelerate import allocated, launch
from homing.training.launch.job import CHECKPOINTS
from homing.training.launch.processes import die_with_parent, report_error

log = logging.getLogger(__name__)

PART = 4096  # photos per part


def embed_photos(rule: Any) -> None:
    """Write vectors.npy, float16 (n, d), and photo_ids.parquet of the photos that have an image.

    rule: the `snakemake` object of a script. Parts of an earlier attempt are reused if encoder, photos and settings
    are the same.
    """
    inputs, config = dict(rule.input.items()), rule.params.settings["config"]
    folder = parts_folder(inputs, rule.params.settings)
    names = photos_with_images(inputs, ShardReader(inputs["shards"], inputs["index"]))
    parts = [part_path(folder, part) for part in range(-(-len(names) // PART))]
    missing = [number for number, path in enumerate(parts) if not path.is_file()]
    sizes = allocated(rule.resources, rule.threads, None)
    if missing:
        log.info("%d of %d parts to embed", len(missing), len(parts))
        spec = {
            "path": str(folder / "spec.json"),
            "launch": uuid.uuid4().hex,
            "inputs": inputs,
            "folder": str(folder),
            "missing": missing,
            "pooling": config["model"]["pooling"],
            "precision": config["embed"]["mixed_precision"],
            "compile": config["embed"]["compile"],
            "threads": sizes.cores_per_process,
            "torch_threads": config["torch_threads"],
        }
        launch("homing.training.embed", spec, sizes)
    concatenate_parts(parts, len(names), rule.output.vectors)
    with atomic_path(rule.output.photo_ids) as partial:
        pd.DataFrame({"photo_id": names}).to_parquet(partial, index=False)
    log.info("%d photos", len(names))
    Checkpoints(folder).remove()


def parts_folder(inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Where the parts are kept: named by the settings and the content of photos and encoder."""
    return CHECKPOINTS / "embed" / of_values([settings, of_inputs(inputs)])[:16]


def encoder_folder(model: str | Path) -> Path:
    """Return the folder of a trained model's encoder: beside the heads, or the folder itself."""
    return Path(model) / "encoder" if (Path(model) / "encoder").is_dir() else Path(model)


def photos_with_images(inputs: Mapping[str, str], reader: ShardReader) -> pd.Series:
    """Return the photo_ids in the order of the photo table, without photos that have no image."""
    names = tables.read(inputs["photos"], "photos", columns=["photo_id"])["photo_id"]
    return names[reader.rows(names) >= 0].reset_index(drop=True)


def part_path(folder: Path, part: int) -> Path:
    """Return the file of a part, float16 (photos, d)."""
    return folder / f"part-{part:06d}.npy"


def concatenate_parts(parts: Sequence[Path], photos: int, output: str | Path) -> None:
    """Write all parts, in order, as one array."""
    width = np.load(parts[0], mmap_mode="r").shape[1] if parts else 0
    with atomic_path(output) as partial:
        vectors = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=(photos, width))
        for number, part in enumerate(parts):
            vectors[number * PART : (number + 1) * PART] = np.load(part)
        vectors.flush()


def embed_parts(spec: Mapping[str, Any], process: int, processes: int, device: torch.device) -> None:
    """Write this process's share of the missing parts."""
    # Imported here, since the launching job does not use them and they take seconds to import.
    from homing.model.encoders import load_encoder
    from homing.training.data.images import ImageLoader
    from homing.training.data.vectors import embed_items

    folder, inputs = Path(spec["folder"]), spec["inputs"]
    encoder = load_encoder(encoder_folder(inputs["model"])).eval().to(device)
    encoder.tune({"compile": spec["compile"]})
    reader = ShardReader(inputs["shards"], inputs["index"])
    names = photos_with_images(inputs, reader)
    side = encoder.preprocessing.side
    images = ImageLoader(reader, names, side, False, 0, spec["threads"], views=reader.views, cache_bytes=0)
    for part in spec["missing"][process::processes]:
        items = np.arange(part * PART, min((part + 1) * PART, len(names)))
        vectors = embed_items(encoder, images, items, spec["pooling"], spec["precision"], device)
        with atomic_path(part_path(folder, part)) as partial, partial.open("wb") as file:
            np.save(file, vectors)
        log.info("embedded photos %d to %d of %d", items[0], items[-1], len(names))


def main() -> None:
    """Run one process of the job."""
    die_with_parent()
    spec = read_json(sys.argv[1])
    start_log(line="%(message)s")
    torch.set_num_threads(spec["torch_threads"])
    process, processes, local = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    try:
        with translate_disk_full():
            embed_parts(spec, process, processes, device)
    except HomingError as error:
        log.error("error: %s", error)
        report_error(spec, error)
        sys.exit(1)


if __name__ == "__main__":
    main()
