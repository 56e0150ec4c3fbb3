"""A small planet in the files, names and layouts of upstream: what the guides download, as a mirror folder."""

import csv
import io
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from checkout import ROOT

from homing.sources.table import read_sources
from homing.toyplanet.layers import write_boundaries, write_rasters
from homing.toyplanet.photos import scenes, take_photos, write_photos
from homing.toyplanet.render import render
from homing.toyplanet.world import World

sys.path.insert(0, str(ROOT / "tests/helpers"))
import tiny_encoders

PHOTOS, SIDE = 240, 48
PINNED = {
    row["dataset"]: row["version"] for row in read_sources(ROOT / "config/sources.csv") if len(row["version"]) == 40
}
RASTERS = {
    "koppen/2023_V3/koppen_geiger_tif.zip": ("koppen_geiger.tif", "1991_2020/koppen_geiger_0p00833333.tif"),
    "worldpop/2020_1km/ppp_2020_1km_Aggregated.tif": ("ppp_2020_1km_Aggregated.tif", None),
    "worldclim_tavg/2.1_10m/wc2.1_10m_tavg.zip": ("wc2.1_10m_tavg.zip", None),
    "worldclim_prec/2.1_10m/wc2.1_10m_prec.zip": ("wc2.1_10m_prec.zip", None),
    "etopo2022/60s_surface/ETOPO_2022_v1_60s_N90W180_surface.tif": ("ETOPO_2022_v1_60s_N90W180_surface.tif", None),
}
OSV_COLUMNS = [
    "id",
    "latitude",
    "longitude",
    "country",
    "sequence",
    "captured_at",
    "drive_side",
    "climate",
    "creator_id",
]


def write_mirror(folder: Path) -> Path:
    """Write the mirror and return it."""
    world = World(seed=1, countries=5)
    target(folder, "gadm_levels/4.1/gadm_410-levels.zip", lambda path: write_boundaries(world, path))
    layers = folder / "layers"
    layers.mkdir()
    write_rasters(world, layers, 1.0)
    for name, (layer, member) in RASTERS.items():
        if member:
            target(
                folder,
                name,
                lambda path, layer=layer, member=member: zipped(path, {member: (layers / layer).read_bytes()}),
            )
        else:
            target(folder, name, lambda path, layer=layer: shutil.copy(layers / layer, path))
    shutil.rmtree(layers)
    mp16(world, folder / "mp16pro" / PINNED["mp16pro"])
    osv5m(world, folder / "osv5m" / PINNED["osv5m"])
    osv_mini(world, folder / "osv_mini/1")
    for name in ("clip_b32", "clip_l14_336"):
        hub_encoder(folder / name / PINNED[name])
    return folder


def target(folder: Path, name: str, write) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write(folder / name)


def zipped(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def mp16(world: World, folder: Path) -> None:
    """19 chunks of one tar, and the table."""
    write_photos(world, folder, PHOTOS, SIDE)
    chunks = sorted(folder.glob("mp-16-images*"))
    whole = b"".join(path.read_bytes() for path in chunks)
    cuts = np.linspace(0, len(whole), 20).astype(int)
    for number in range(19):
        (folder / f"mp-16-images{number:02d}").write_bytes(whole[cuts[number] : cuts[number + 1]])


def street_photos(world: World) -> Iterator[tuple[str, str, bytes, dict]]:
    """Split, id, JPEG and row of photos as Mapillary has them: three in four for training."""
    photos = take_photos(world, PHOTOS)
    for number, (scene, row) in enumerate(zip(scenes(world, photos), photos.itertuples(), strict=True)):
        name = f"{10**15 + number}"
        entry = {"id": name, "latitude": row.latitude, "longitude": row.longitude, "sequence": f"s{row.author}"}
        entry |= {"captured_at": int(row.moment.timestamp() * 1000), "creator_id": row.author}
        yield ("train" if number % 4 else "test"), name, render(scene, SIDE), entry


def osv_table(rows: list[dict]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, OSV_COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def osv5m(world: World, folder: Path) -> None:
    """98 zips for training, five for test, and a table each."""
    folder.mkdir(parents=True)
    rows, files = {"train": [], "test": []}, {}
    for number, (split, name, data, row) in enumerate(street_photos(world)):
        archive = number % (98 if split == "train" else 5)
        files.setdefault((split, archive), {})[f"{archive:02d}/{name}.jpg"] = data
        rows[split].append(row)
    for split, count in (("train", 98), ("test", 5)):
        (folder / f"{split}.csv").write_bytes(osv_table(rows[split]))
        for archive in range(count):
            zipped(folder / f"{split}_{archive:02d}.zip", files.get((split, archive), {}))


def osv_mini(world: World, folder: Path) -> None:
    """Kaggle's zip: a folder per state."""
    folder.mkdir(parents=True)
    rows, files = {"train": [], "test": []}, {}
    for split, name, data, row in street_photos(world):
        files[f"osv5m/{split}_images/Ohio/{name}.jpg"] = data
        rows[split].append(row)
    tables = {f"osv5m/{split}_mini.csv": osv_table(rows[split]) for split in rows}
    zipped(folder / "osv-mini-129k.zip", tables | files)


def encoder(folder: Path) -> None:
    """A tiny CLIP in transformers' layout."""
    tiny_encoders.save("clip", folder)
    side = tiny_encoders.SIDE
    (folder / "preprocessor_config.json").write_text(
        f'{{"size": {{"shortest_edge": {side}}}, "crop_size": {{"height": {side}, "width": {side}}},'
        ' "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}'
    )


def hub_encoder(folder: Path) -> None:
    """The same as OpenAI's are on the hub: weights as pytorch_model.bin, and the tokenizer's older files."""
    import torch

    encoder(folder)
    (folder / "model.safetensors").unlink()
    torch.save(tiny_encoders.build("clip").state_dict(), folder / "pytorch_model.bin")
    for name, text in (("special_tokens_map.json", "{}"), ("vocab.json", "{}"), ("merges.txt", "#version: 0.2\n")):
        (folder / name).write_text(text)


def photo_folder(world: World, folder: Path, views: int = 1) -> None:
    """Photos of one's own with a CSV of unusual column names; `views` pictures of each place."""
    folder.mkdir(parents=True)
    rows = []
    for _, name, data, row in street_photos(world):
        for view in range(views):
            (folder / (f"{name}_{view}.jpg" if views > 1 else f"{name}.jpg")).write_bytes(data)
        rows.append({"panoid": name, "lat": row["latitude"], "lng": row["longitude"], "image": f"{name}.jpg"})
    names = {1: "photos.csv", 4: "panoramas.csv"}
    with (folder / names[views]).open("w", newline="") as file:
        columns = ["panoid", "lat", "lng"] + (["image"] if views == 1 else [])
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
