"""Photos: re-encoding, shards, indexes, tables and splits beside Pillow and webdataset, in the same run."""

import io
import logging
import os
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import webdataset
from PIL import Image
from timing import median_seconds, scale_of, show
from timing.pictures import noise_image

from homing import tables
from homing.importing.adapters import adapter_for
from homing.importing.archives import BLOCK, Tar, Zip
from homing.importing.candidates import list_candidates
from homing.importing.collect import collect_photos
from homing.importing.recode import encode, fit_within, prepare, recode
from homing.photos.images import open_image
from homing.photos.shards import ShardReader, ShardWriter, member_name
from homing.photos.splits import assign_splits

Figures = dict[str, float]

SIDE = 512  # the longer side of a stored photo: 512 x 384 for an image of 4:3
SETTINGS = {"max_side": SIDE, "max_megapixels": 100, "quality": 90, "shard_megabytes": 256}
SOURCES = {"": (1024, 768), "_682px": (682, 512)}  # suffix of the figures: width and height
JPEG_BYTES = 45_000
SIDECAR = b'{"latitude": 48.858, "longitude": 2.294, "country": "FRA"}'  # webdatasets usually have one per photo


def main() -> None:
    """Print all figures."""
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    scale, as_json = scale_of(small=1, full=10)
    figures = recoding(rng)
    with tempfile.TemporaryDirectory() as folder:
        figures |= archives(Path(folder), 8_000 * scale, rng)
    with tempfile.TemporaryDirectory() as folder:
        figures["table_of_a_million_seconds"] = import_table(Path(folder), 1_000_000, rng)
    show(figures | splitting(4_700_000, rng), as_json)


def recoding(rng: np.random.Generator) -> Figures:
    """Images re-encoded per second, by ours and by Pillow, and how close ours comes to Pillow's pixels."""
    figures: Figures = {}
    for suffix, (width, height) in SOURCES.items():
        photos = [jpeg(noise_image(rng, width, height)) for _ in range(24)]
        theirs, ours, whole = (
            median_seconds(partial(for_each, work, photos)) for work in (pillow_recode, own_recode, own_prepare)
        )
        figures |= {
            f"recode_per_second{suffix}": len(photos) / ours,
            f"recode_and_hash_per_second{suffix}": len(photos) / whole,
            f"recode_speedup_over_pillow{suffix}": theirs / ours,
            f"recode_psnr_db{suffix}": float(np.mean([psnr(data) for data in photos])),
            f"source_kilobytes{suffix}": sum(map(len, photos)) / len(photos) / 1000,
        }
    small = [encode(np.asarray(noise_image(rng, 512, 384)), 90) for _ in range(24)]
    figures["check_and_keep_per_second"] = len(small) / median_seconds(partial(for_each, own_prepare, small))
    return figures


def for_each(work: Callable[[bytes], object], photos: Sequence[bytes]) -> None:
    for data in photos:
        work(data)


def jpeg(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG", quality=90)
    return output.getvalue()


def pillow_resized(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return image.resize(fit_within(*image.size, SIDE), Image.Resampling.BICUBIC)


def pillow_recode(data: bytes) -> bytes:
    return jpeg(pillow_resized(data))


def own_recode(data: bytes) -> bytes:
    return encode(recode(data, open_image(data), SIDE), 90)


def own_prepare(data: bytes) -> bytes:
    return prepare(data, SETTINGS).data


def psnr(data: bytes) -> float:
    """Peak signal-to-noise ratio of our pixels before encoding against Pillow's antialiased bicubic, dB."""
    theirs = np.asarray(pillow_resized(data), dtype=float)
    return 10 * np.log10(255**2 / np.mean((recode(data, open_image(data), SIDE) - theirs) ** 2))


def archives(folder: Path, count: int, rng: np.random.Generator) -> Figures:
    """Photos written to shards, members listed, and photos read in random order per second."""
    data = rng.bytes(JPEG_BYTES)
    ours, theirs = folder / "ours.tar", folder / "theirs.tar"
    own_writing, webdataset_writing = (
        median_seconds(partial(write, path, count, data), time.process_time)
        for write, path in ((write_shard, ours), (write_webdataset, theirs))
    )
    figures = {"shard_write_per_second": count / own_writing, "shard_write_speedup": webdataset_writing / own_writing}
    return (
        figures
        | listing(ours, count)
        | zip_listing(folder / "photos.zip", count, data)
        | reading(ours, theirs, count, rng)
    )


def write_shard(path: Path, count: int, data: bytes) -> None:
    shard = ShardWriter(path)
    for number in range(count):
        shard.add(member_name(f"{number:08d}", 0, 1), data)
        shard.add(f"{number:08d}.json", SIDECAR)
    shard.close()


def write_webdataset(path: Path, count: int, data: bytes) -> None:
    with webdataset.TarWriter(str(path)) as writer:
        for number in range(count):
            writer.write({"__key__": f"{number:08d}", "jpg": data, "json": SIDECAR})


def listing(path: Path, count: int) -> Figures:
    """Members of a tar listed per second, against tarfile and against reading the headers alone."""
    tar = Tar([path])
    ours = median_seconds(lambda: sum(1 for _ in tar.members()))
    theirs = median_seconds(lambda: tarfile.open(path).getmembers())  # noqa: SIM115
    return {
        "tar_index_per_second": 2 * count / ours,
        "tar_index_share_of_bare_reads": median_seconds(partial(read_headers, path)) / ours,
        "tar_index_speedup_over_tarfile": theirs / ours,
    }


def read_headers(path: Path) -> None:
    """Read one block per member and do nothing with it: the least that listing must do."""
    file = os.open(path, os.O_RDONLY)
    position, steps = 0, [BLOCK + -(-size // BLOCK) * BLOCK for size in (JPEG_BYTES, len(SIDECAR))]
    while len(os.pread(file, BLOCK, position)) == BLOCK:
        position += steps[0]
        steps.reverse()
    os.close(file)


def zip_listing(path: Path, count: int, data: bytes) -> Figures:
    """Members of a zip listed per second."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"00/{number:08d}.jpg", data[:2000])
    packed = Zip(path)
    return {"zip_index_per_second": count / median_seconds(lambda: sum(1 for _ in packed.members()))}


def reading(ours: Path, theirs: Path, count: int, rng: np.random.Generator) -> Figures:
    """Photos read per second in random order by index, against webdataset's stream in order."""
    members = [member for member in Tar([ours]).members() if member.name.endswith(".jpg")]
    index = pd.DataFrame({"photo_id": [member.name.removesuffix(".jpg") for member in members]})
    index = index.assign(offset=[member.offset for member in members], view=0, shard=ours.name, bytes=JPEG_BYTES)
    tables.write(ours.with_name("index.parquet"), index, "index")
    reader = ShardReader(ours.parent, ours.with_name("index.parquet"))
    order = reader.rows([f"{number:08d}" for number in rng.permutation(count)]).tolist()

    def stream() -> None:
        for _ in webdataset.WebDataset(str(theirs), shardshuffle=False):
            pass

    def read_shuffled() -> None:
        for row in order:
            reader.read_row(row)

    streamed, read = median_seconds(stream), median_seconds(read_shuffled)
    return {"index_read_per_second": count / read, "index_read_speedup": streamed / read}


def import_table(folder: Path, rows: int, rng: np.random.Generator) -> float:
    """Seconds to import a table without images."""
    frame = pd.DataFrame(
        {"id": [f"{n:02x}_{n * 7919}" for n in range(rows)], "lat": rng.uniform(-60, 70, rows).round(6)}
    )
    frame["lon"] = rng.uniform(-180, 180, rows).round(6)
    frame["captured_at"] = (rng.integers(1_100_000_000, 1_600_000_000, rows) * 1000).astype(str)
    frame["author"] = [f"{n % 90_000}@N01" for n in range(rows)]
    table = folder / "photos.csv"
    frame.to_csv(table, index=False)
    outputs = {name: str(folder / f"{name}.parquet") for name in ("photos", "rejected", "index", "ledger")}
    candidates, rejected = folder / "candidates.parquet", folder / "rejected_rows.parquet"
    dataset = {"adapter": "csv_folder"}
    started = time.perf_counter()
    list_candidates(adapter_for(dataset, [table]), dataset, [table], candidates, rejected)
    collect_photos(candidates, rejected, [], outputs | {"shards": str(folder / "shards")}, 1, max_rejected_share=0)
    return time.perf_counter() - started


def splitting(count: int, rng: np.random.Generator) -> Figures:
    """Seconds to split photos by distance, most of them in towns, and the share that is left unused."""
    towns = rng.uniform((-50, -180), (65, 180), (20_000, 2))
    coordinates = towns[rng.zipf(1.3, count) % len(towns)] + rng.normal(0, 0.05, (count, 2))
    photos = pd.DataFrame({"photo_id": np.arange(count).astype(str), "latitude": np.clip(coordinates[:, 0], -90, 90)})
    photos["longitude"] = (coordinates[:, 1] + 180) % 360 - 180
    settings = {"method": "distance", "distance_km": 1, "block_km": 20, "val_share": 0.05, "test_share": 0.05}
    started = time.perf_counter()
    splits = assign_splits(photos, settings, seed=1)
    seconds = time.perf_counter() - started
    return {"split_47m_seconds": seconds, "split_unused_share": float((splits["split"] == "unused").mean())}


if __name__ == "__main__":
    main()
