"""What is known of the work before it is done: photos of each data set, areas, bytes, and the units of each job."""

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from homing.config import configuration
from homing.errors import HomingError
from homing.plan.encoders import Shape, shape_of
from homing.plan.jobs import Job
from homing.shipped import ROOT
from homing.sources.retrieve import in_mirror
from homing.sources.table import planned_bytes, read_sources, source_row

Config = dict[str, Any]
Amounts = dict[str, float]

KILOBYTES_AT_512 = 60.0  # of a photo whose longer side is 512 pixels, quality 90 (docs/data.md)
KILOBYTES_OF_TOY = 4.35  # of a rendered photo of 96 pixels, measured in the demo
PHOTOS_UNKNOWN = 100_000  # where nothing tells; named among the unknowns
AREAS_UNKNOWN = 50_000
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp")


@functools.cache
def upstream(source: str) -> dict[str, str]:
    """The row of resources/collections.csv, or nothing."""
    with (ROOT / "resources/collections.csv").open(newline="", encoding="utf-8") as file:
        return next((row for row in csv.DictReader(file) if row["source"] == source), {})


@dataclass
class Facts:
    """Counts and bytes of one configuration in one folder; `unknowns`: what had to be guessed, `unsized`: files.

    `told` are photos per data set that the user states.
    """

    config: Config
    folder: Path
    told: Mapping[str, int] = field(default_factory=dict)
    unknowns: dict[str, str] = field(default_factory=dict)
    unsized: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources = read_sources(ROOT / "config/sources.csv")
        foreign = set(self.told) - set(self.config["datasets"])
        if foreign:
            raise HomingError(f"--photos {min(foreign)}: none of datasets: {', '.join(self.config['datasets'])}")
        self.photos = functools.cache(self._photos)

    def _photos(self, dataset: str) -> int:
        """Photos (places, where four views are one place) of a data set: told, counted, known upstream, or guessed."""
        if dataset in self.told:
            return self.told[dataset]
        stored = self.folder / f"results/photos/{dataset}/photos.parquet"
        if stored.is_file():
            return pq.read_metadata(stored).num_rows
        chosen = self.config["datasets"][dataset]
        if chosen.get("source", "").endswith("/toy"):
            return self.config["toyplanet"]["photos"]
        counted = self._counted(chosen) if "source" not in chosen else None
        known = upstream(chosen.get("source", "")).get("photos")
        if counted is None and not known:
            self.unknowns[f"photos of {dataset}"] = f"taken as {PHOTOS_UNKNOWN:,}: say --photos {dataset}=N"
            return PHOTOS_UNKNOWN
        return counted if counted is not None else int(known)

    def _counted(self, dataset: Config) -> int | None:
        """Rows of the user's own table, or pictures of a folder."""
        paths = configuration.with_paths(self.config, dataset)
        table, images = (self.folder / paths[key] if paths.get(key) else None for key in ("table", "images"))
        if table and table.is_file():
            return table_rows(table)
        if not table and images and images.is_dir():
            return sum(path.suffix.lower() in PICTURES for path in images.rglob("*"))
        return None

    def pictures(self, dataset: str) -> int:
        """Pictures that are stored: each view is one; none where only coordinates are given."""
        chosen = self.config["datasets"][dataset]
        imageless = "source" not in chosen and not chosen.get("images")
        return 0 if imageless else self.photos(dataset) * chosen.get("views", 1)

    def stored_gb(self, dataset: str) -> float:
        """Shards of a data set: measured where they are, else by their number and the side they are bounded to."""
        shards = self.folder / f"results/photos/{dataset}/shards"
        if shards.is_dir():
            return disk_gb(shards)
        largest = KILOBYTES_AT_512 * (self.config["shards"]["max_side"] / 512) ** 2
        return self.pictures(dataset) * min(largest, self._raw_kilobytes(dataset) or largest) / 1e6

    def _raw_kilobytes(self, dataset: str) -> float | None:
        chosen = self.config["datasets"][dataset]
        if chosen.get("source", "").endswith("/toy"):
            return KILOBYTES_OF_TOY * (self.config["toyplanet"]["image_side"] / 96) ** 2
        paths = configuration.with_paths(self.config, chosen)
        images = self.folder / paths["images"] if paths.get("images") else None
        if "source" not in chosen and images and images.exists():
            return 1e6 * disk_gb(images) / max(1, self.pictures(dataset))
        return None

    def areas(self) -> int:
        """Administrative areas of the boundaries."""
        source = self.config["labels"]["boundaries"]["source"]
        made = self.folder / f"results/boundaries/{source}/areas.parquet"
        if made.is_file():
            return pq.read_metadata(made).num_rows
        return int(upstream(source).get("areas") or AREAS_UNKNOWN)

    def raw_gb(self, source: str, file: str) -> float | None:
        """A file of config/sources.csv: as it is here or in the mirror, else as stated; None when nobody says."""
        row = source_row(self.sources, source, file)
        here = self.folder / f"results/raw/{source}/{file}"
        found = here if here.is_file() else in_mirror(row, self.mirror())
        size = found.stat().st_size if found else planned_bytes(row)
        return None if size is None else size / 1e9

    def mirror(self) -> str | None:
        return str(self.folder / self.config["mirror"]) if self.config["mirror"] else None

    def origin(self, source: str, file: str) -> str:
        """Where retrieve_file takes a file from: "generated", "mirror", "shipped", "line" or "hand" (no address)."""
        row = source_row(self.sources, source, file)
        if row["url"].startswith("toyplanet:"):
            return "generated"
        if in_mirror(row, self.mirror()):
            return "mirror"
        return {"file": "shipped", "mirror": "hand"}.get(row["url"].partition(":")[0], "line")

    def amounts(self, job: Job, read_gb: Mapping[str, float]) -> Amounts:
        """The units of work of a job (docs/doctor_and_plan.md); `read_gb`: size of each of its inputs, GB."""
        raw = sum(size for path, size in read_gb.items() if "results/raw/" in path and "/manifests/" not in path)
        shards = sum(size for path, size in read_gb.items() if path.endswith("/shards"))
        found: Amounts = {"job": 1, "raw_gb": raw, "shard_gb": shards, "area": self.areas()}
        names = job.wildcards
        if job.rule == "make_toyplanet":
            toy = self.config["toyplanet"]
            found["megapixel"] = toy["photos"] * toy["image_side"] ** 2 / 1e6
            found["photo"] = toy["photos"]
        if job.rule == "retrieve_file":
            found |= self._retrieved(f"{names['dataset']}/{names['version']}", names["file"], read_gb)
        elif "dataset" in names and "version" not in names and "run" not in names:
            found |= self._of_dataset(names)
        elif "run" in names:
            found |= self._of_run(job, names)
        return found

    def _retrieved(self, source: str, file: str, read_gb: Mapping[str, float]) -> Amounts:
        origin, size = self.origin(source, file), self.raw_gb(source, file)
        if origin == "generated":
            size = next(iter(read_gb.values()), 0.0)
        if size is None and origin != "shipped":
            self.unsized.append(f"{source.split('/')[0]}/{file}")
        linked = origin == "mirror" and self.config["link_mirror"]
        kept = 0.0 if linked else size or 0.0
        return {"line_gb" if origin == "line" else "local_gb": size or 0.0, "kept_gb": kept, "file_gb": size or 0.0}

    def _of_dataset(self, names: Mapping[str, str]) -> Amounts:
        share = 1 / int(names.get("parts") or names.get("tiles") or 1)
        dataset = names["dataset"]
        pictures, stored = self.pictures(dataset) * share, self.stored_gb(dataset) * share
        own = self._raw_kilobytes(dataset) if "source" not in self.config["datasets"][dataset] else 0
        return {
            "photo": self.photos(dataset) * share,
            "picture": pictures,
            "stored_gb": stored,
            "own_gb": (own or 0) * pictures / 1e6,
            "part": share,
        }

    def _of_run(self, job: Job, names: Mapping[str, str]) -> Amounts:
        run = configuration.run_config(self.config, names["run"])
        own = run["run_dataset"]
        photos, train, val = self.photos(own), *self._divided(run)
        shaping = self.photos(run["geocells"]["dataset"] or own)
        cells = max(1.0, 2 * shaping / (run["geocells"]["min_photos"] + run["geocells"]["max_photos"]))
        shape = shape_of(run["model"])
        if not shape.known:
            self.unknowns["the encoder's shape"] = "taken as CLIP L/14 at 336 pixels"
        dataset = names.get("dataset", own)
        chosen = {"train": train, "val": val, "test": photos - train - val}
        photo_set = names.get("photo_set", "test")
        asked = chosen[photo_set] if photo_set in chosen else self.photos(photo_set)
        return {
            "photo": self.photos(dataset),
            "train_photo": train,
            "val_photo": val,
            "set_photo": asked,
            "cell_photo": shaping,
            "cell": cells,
            "compared_photo": shaping * len(run["compare_geocells"]),
            "benchmark_photo": sum(map(self.photos, run["evaluate"]["benchmarks"])),
            "vector": self.photos(dataset) * shape.width,
            "gigapair": train * asked / 1e9 if run["evaluate"]["thumbnails"] else 0.0,
            "encoder_gb": shape.encoder_gb,
            "model_gb": shape.gb,
        } | self._training(job, run, shape, (train, val), cells)

    def _divided(self, run: Config) -> tuple[float, float]:
        """Photos to train on and to validate with; regions and given splits are taken to test as many as others."""
        photos, splits = self.photos(run["run_dataset"]), run["splits"]
        return photos * (1 - splits["val_share"] - splits["test_share"]), photos * splits["val_share"]

    def _training(self, job: Job, run: Config, shape: Shape, photos: tuple[float, float], cells: float) -> Amounts:
        """Operations, and GB of pictures that are decoded, of a job that computes with the encoder."""
        train, val = photos
        dataset, views = run["run_dataset"], run["datasets"][run["run_dataset"]].get("views", 1)
        each = self.stored_gb(dataset) / max(1, self.pictures(dataset))
        picture, head = shape.picture_gflop, 6e-9 * shape.width * cells
        if job.rule == "embed_photos":
            embedded = job.wildcards["dataset"]
            return {"gflop": self.pictures(embedded) * picture, "decoded_gb": self.stored_gb(embedded)}
        if job.rule == "pretrain_clip" and run["pretrain"]["enabled"]:
            asked, pair = run["pretrain"], picture + shape.caption_gflop
            kept = 1 - asked["patch_dropout"]
            again = 4 / 3 if asked["gradient_checkpointing"] else 1
            passes = asked["epochs"] * (train + val)
            work = asked["epochs"] * (3 * again * train * (kept * picture + shape.caption_gflop) + val * pair)
            return {"gflop": work, "decoded_gb": passes * each}
        if job.rule == "finetune_geolocator":
            asked = run["finetune"]
            backward = {"all": 2.0, "last": 2.0 * asked["last_layers"] / shape.layers, "heads": 0.0}[asked["trainable"]]
            forward = 0.0 if asked["trainable"] == "heads" else picture * views
            work = asked["epochs"] * (train * (forward * (1 + backward) + head) + val * forward)
            return {"gflop": work, "decoded_gb": bool(forward) * asked["epochs"] * (train + val) * each * views}
        return {}


def table_rows(table: Path) -> int:
    """Rows of a CSV or Parquet file; a line break inside quotes counts as one more, which a plan bears."""
    if table.suffix == ".parquet":
        return pq.read_metadata(table).num_rows
    with table.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


def disk_gb(path: Path) -> float:
    """Bytes of a file, or of all files in a folder, GB; what links point to counts."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) / 1e9
    return path.stat().st_size / 1e9 if path.exists() else 0.0
