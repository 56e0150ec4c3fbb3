"""Photos: re-encoding, shards, indexes, tables and splits beside Pillow and webdataset, in the same run."""

import io
import logging
import os
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import webdataset
from PIL import Image
from timing import median_seconds, scale_of, show

from homing import tables
from homing.importing.archives import BLOCK, Tar, Zip
from homing.importing.recode import encode, fitting, prepare, recode
from homing.photos.images import open_image
from homing.photos.importing import import_photos
from homing.photos.shards import Shard, ShardReader, member_name
from homing.photos.splits import assign_splits

SIDE = 512  # the longer side of a stored photo: 512 x 384 of a 4:3 picture
SETTINGS = {"max_side": SIDE, "max_megapixels": 100, "quality": 90, "shard_megabytes": 256}
PIXELS = {"1024": (1024, 768), "682": (682, 512)}
logging.disable(logging.INFO)
rng = np.random.default_rng(0)
share, as_json = scale_of(small=1, full=10)
torch.set_num_threads(1)


def picture(width: int, height: int) -> Image.Image:
    """Noise with a photograph's spectrum: a power of the frequency, through a lens; colours related as in nature."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        waves = np.fft.rfft2(rng.normal(size=(height, width))) * np.exp(-((frequency / 0.3) ** 2)) / frequency**1.3
        plane = np.fft.irfft2(waves, s=(height, width))
        planes.append(plane / plane.std())
    light, first, second = planes
    colours = np.stack([light + 0.3 * first, light, light - 0.3 * first + 0.2 * second], axis=-1)
    return Image.fromarray(np.clip(128 + 48 * colours, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG", quality=90)
    return output.getvalue()


def pillow_recode(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return jpeg(image.resize(fitting(*image.size, SIDE), Image.Resampling.BICUBIC))


def own_recode(data: bytes) -> bytes:
    return encode(recode(data, open_image(data), SIDE), 90)


def psnr(data: bytes) -> float:
    """Of what is stored before it is packed, against Pillow's antialiased bicubic, dB."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    theirs = np.asarray(image.resize(fitting(*image.size, SIDE), Image.Resampling.BICUBIC), dtype=float)
    return 10 * np.log10(255**2 / np.mean((recode(data, open_image(data), SIDE) - theirs) ** 2))


figures: dict[str, float] = {}
for name, size in PIXELS.items():
    photos = [jpeg(picture(*size)) for _ in range(24)]
    theirs = median_seconds(lambda photos=photos: [pillow_recode(data) for data in photos])
    ours = median_seconds(lambda photos=photos: [own_recode(data) for data in photos])
    whole = median_seconds(lambda photos=photos: [prepare(data, SETTINGS) for data in photos])
    suffix = "" if name == "1024" else f"_{name}px"
    figures |= {
        f"recode_per_second{suffix}": len(photos) / ours,
        f"recode_and_hash_per_second{suffix}": len(photos) / whole,
        f"recode_speedup_over_pillow{suffix}": theirs / ours,
        f"recode_psnr_db{suffix}": float(np.mean([psnr(data) for data in photos])),
        f"source_kilobytes{suffix}": sum(map(len, photos)) / len(photos) / 1000,
    }
keep = [encode(np.asarray(picture(512, 384)), 90) for _ in range(24)]
figures["check_and_keep_per_second"] = len(keep) / median_seconds(lambda: [prepare(d, SETTINGS) for d in keep])

count = 8_000 * share
data, place = rng.bytes(45_000), b'{"latitude": 48.858, "longitude": 2.294, "country": "FRA"}'  # as webdatasets are
with tempfile.TemporaryDirectory() as folder:
    home = Path(folder)

    def write_ours() -> None:
        shard = Shard(home / "ours.tar")
        for number in range(count):
            shard.add(member_name(f"{number:08d}", 0, 1), data)
            shard.add(f"{number:08d}.json", place)
        shard.close()

    def write_webdataset() -> None:
        with webdataset.TarWriter(str(home / "theirs.tar")) as writer:
            for number in range(count):
                writer.write({"__key__": f"{number:08d}", "jpg": data, "json": place})

    theirs, ours = (median_seconds(write, time.process_time) for write in (write_webdataset, write_ours))
    figures |= {"shard_write_per_second": count / ours, "shard_write_speedup": theirs / ours}

    def bare_headers() -> int:
        """One read of a block per member and nothing else: what any indexing must do."""
        file = os.open(home / "ours.tar", os.O_RDONLY)
        position, steps = 0, [BLOCK + -(-len(content) // BLOCK) * BLOCK for content in (data, place)]
        while len(os.pread(file, BLOCK, position)) == BLOCK:
            position += steps[0]
            steps.reverse()
        os.close(file)
        return position

    tar = Tar([home / "ours.tar"])
    listed = median_seconds(lambda: sum(1 for _ in tar.members()))
    by_tarfile = median_seconds(lambda: tarfile.open(home / "ours.tar").getmembers())  # noqa: SIM115
    figures |= {
        "tar_index_per_second": 2 * count / listed,
        "tar_index_share_of_bare_reads": median_seconds(bare_headers) / listed,
        "tar_index_speedup_over_tarfile": by_tarfile / listed,
    }
    with zipfile.ZipFile(home / "photos.zip", "w") as archive:
        for number in range(count):
            archive.writestr(f"00/{number:08d}.jpg", data[:2000])
    packed = Zip(home / "photos.zip")
    figures["zip_index_per_second"] = count / median_seconds(lambda: sum(1 for _ in packed.members()))

    places = [(m.name.removesuffix(".jpg"), m.offset) for m in tar.members() if m.name.endswith(".jpg")]
    index = pd.DataFrame(places, columns=["photo_id", "offset"]).assign(view=0, shard="ours.tar", bytes=len(data))
    tables.write(home / "index.parquet", index, "index")
    reader = ShardReader(home, home / "index.parquet")
    order = reader.rows([f"{number:08d}" for number in rng.permutation(count)]).tolist()

    def stream() -> None:
        for _ in webdataset.WebDataset(str(home / "theirs.tar"), shardshuffle=False):
            pass

    def read_shuffled() -> None:
        for row in order:
            reader.read_row(row)

    theirs, ours = median_seconds(stream), median_seconds(read_shuffled)
    figures |= {"index_read_per_second": count / ours, "index_read_speedup": theirs / ours}

rows = 1_000_000
with tempfile.TemporaryDirectory() as folder:
    home = Path(folder)
    frame = pd.DataFrame(
        {"id": [f"{n:02x}_{n * 7919}" for n in range(rows)], "lat": rng.uniform(-60, 70, rows).round(6)}
    )
    frame["lon"] = rng.uniform(-180, 180, rows).round(6)
    frame["captured_at"] = (rng.integers(1_100_000_000, 1_600_000_000, rows) * 1000).astype(str)
    frame["author"] = [f"{n % 90_000}@N01" for n in range(rows)]
    frame.to_csv(home / "photos.csv", index=False)
    paths = {name: str(home / f"{name}.parquet") for name in ("photos", "rejected", "index", "ledger")}
    began = time.perf_counter()
    import_photos({"adapter": "csv_folder"}, [home / "photos.csv"], SETTINGS, paths | {"shards": str(home / "s")}, 0, 2)
    figures["table_of_a_million_seconds"] = time.perf_counter() - began

rows = 4_700_000
towns = rng.uniform((-50, -180), (65, 180), (20_000, 2))
chosen = towns[rng.zipf(1.3, rows) % len(towns)] + rng.normal(0, 0.05, (rows, 2))
photos = pd.DataFrame({"photo_id": np.arange(rows).astype(str), "latitude": np.clip(chosen[:, 0], -90, 90)})
photos["longitude"] = (chosen[:, 1] + 180) % 360 - 180
split = {"method": "distance", "distance_km": 1, "block_km": 20, "val_share": 0.05, "test_share": 0.05}
began = time.perf_counter()
splits = assign_splits(photos, split, seed=1)
figures["split_47m_seconds"] = time.perf_counter() - began
figures["split_unused_share"] = float((splits["split"] == "unused").mean())
show(figures, as_json)
