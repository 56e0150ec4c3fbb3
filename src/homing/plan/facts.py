"""What is known before a run: photos of each data set, areas, bytes, and the units of work of each job."""

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

KILOBYTES_AT_512 = 60.0  # a photo whose longer side is 512 pixels, at quality 90 (docs/data.md)
KILOBYTES_OF_TOY = 4.35  # a rendered photo of 96 pixels, measured in the demo
DEFAULT_PHOTOS = 100_000  # if nothing says how many; reported among the unknowns
DEFAULT_AREAS = 50_000
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp")


@functools.cache
def upstream(source: str) -> dict[str, str]:
    """Return the row of a source in resources/collections.csv; empty if there is none."""
    with (ROOT / "resources/collections.csv").open(newline="", encoding="utf-8") as file:
        return next((row for row in csv.DictReader(file) if row["source"] == source), {})


@dataclass
class Facts:
    """Counts and bytes of one configuration in one folder."""

    config: Config
    folder: Path
    stated: Mapping[str, int] = field(default_factory=dict)  # photos by data set, as the user says
    unknowns: dict[str, str] = field(default_factory=dict)  # what had to be assumed -> the assumption
    unsized: list[str] = field(default_factory=list)  # raw files of unknown size

    def __post_init__(self) -> None:
        self.sources = read_sources(ROOT / "config/sources.csv")
        unknown = set(self.stated) - set(self.config["datasets"])
        if unknown:
            raise HomingError(f"--photos {min(unknown)}: must be one of datasets: {', '.join(self.config['datasets'])}")
        self.photos = functools.cache(self._photos)

    def _photos(self, dataset: str) -> int:
        """Return the photos of a data set (places, if they have views): stated, counted, published, or assumed."""
        if dataset in self.stated:
            return self.stated[dataset]
        stored = self.folder / f"results/photos/{dataset}/photos.parquet"
        if stored.is_file():
            return pq.read_metadata(stored).num_rows
        chosen = self.config["datasets"][dataset]
        if chosen.get("source", "").endswith("/toy"):
            return self.config["toyplanet"]["photos"]
        counted = self._counted(chosen) if "source" not in chosen else None
        if counted is not None:
            return counted
        if published := upstream(chosen.get("source", "")).get("photos"):
            return int(published)
        self.unknowns[f"photos of {dataset}"] = f"assumed to be {DEFAULT_PHOTOS:,}; give --photos {dataset}=N"
        return DEFAULT_PHOTOS

    def _counted(self, dataset: Config) -> int | None:
        """Count the rows of the user's table, or the images of a folder. Return None if neither is there."""
        paths = configuration.with_paths(self.config, dataset)
        table, images = (self.folder / paths[key] if paths.get(key) else None for key in ("table", "images"))
        if table and table.is_file():
            return table_rows(table)
        if not table and images and images.is_dir():
            return sum(path.suffix.lower() in PICTURES for path in images.rglob("*"))
        return None

    def pictures(self, dataset: str) -> int:
        """Return the number of stored images, one per view; none for a data set of coordinates only."""
        chosen = self.config["datasets"][dataset]
        imageless = "source" not in chosen and not chosen.get("images")
        return 0 if imageless else self.photos(dataset) * chosen.get("views", 1)

    def stored_gb(self, dataset: str) -> float:
        """Return the size of the shards: measured if they exist, else from number and largest side of the images."""
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
        """Return the number of administrative areas."""
        source = self.config["labels"]["boundaries"]["source"]
        made = self.folder / f"results/boundaries/{source}/areas.parquet"
        if made.is_file():
            return pq.read_metadata(made).num_rows
        return int(upstream(source).get("areas") or DEFAULT_AREAS)

    def raw_gb(self, source: str, file: str) -> float | None:
        """Return the size of a raw file: measured here or in the mirror, else as stated; None if unknown."""
        row = source_row(self.sources, source, file)
        here = self.folder / f"results/raw/{source}/{file}"
        found = here if here.is_file() else in_mirror(row, self.mirror())
        size = found.stat().st_size if found else planned_bytes(row)
        return None if size is None else size / 1e9

    def mirror(self) -> str | None:
        """Return the folder of the mirror."""
        return str(self.folder / self.config["mirror"]) if self.config["mirror"] else None

    def origin(self, source: str, file: str) -> str:
        """Return where retrieve_file gets a file: "generated", "mirror", "shipped", "line" (download) or "hand"."""
        row = source_row(self.sources, source, file)
        if row["url"].startswith("toyplanet:"):
            return "generated"
        if in_mirror(row, self.mirror()):
            return "mirror"
        return {"file": "shipped", "mirror": "hand"}.get(row["url"].partition(":")[0], "line")

    def amounts(self, job: Job, read_gb: Mapping[str, float]) -> Amounts:
        """Return the units of work of a job (docs/doctor_and_plan.md) from the size of each of its inputs in GB."""
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
            self.unknowns["shape of the encoder"] = "assumed to be CLIP L/14 at 336 pixels"
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
        """Return training and validation photos; splits by region or as given are assumed to have the usual shares."""
        photos, splits = self.photos(run["run_dataset"]), run["splits"]
        return photos * (1 - splits["val_share"] - splits["test_share"]), photos * splits["val_share"]

    def _training(self, job: Job, run: Config, shape: Shape, photos: tuple[float, float], cells: float) -> Amounts:
        """Return the GFLOP, and the GB of images decoded, of a job that runs the encoder."""
        train, val = photos
        dataset, views = run["run_dataset"], run["datasets"][run["run_dataset"]].get("views", 1)
        image_gb = self.stored_gb(dataset) / max(1, self.pictures(dataset))
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
            return {"gflop": work, "decoded_gb": passes * image_gb}
        if job.rule == "finetune_geolocator":
            asked = run["finetune"]
            backward = {"all": 2.0, "last": 2.0 * asked["last_layers"] / shape.layers, "heads": 0.0}[asked["trainable"]]
            forward = 0.0 if asked["trainable"] == "heads" else picture * views
            work = asked["epochs"] * (train * (forward * (1 + backward) + head) + val * forward)
            return {"gflop": work, "decoded_gb": bool(forward) * asked["epochs"] * (train + val) * image_gb * views}
        return {}


def table_rows(table: Path) -> int:
    """Count the rows of a CSV or Parquet file. A line break within quotes counts as a row, which is close enough."""
    if table.suffix == ".parquet":
        return pq.read_metadata(table).num_rows
    with table.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


def disk_gb(path: Path) -> float:
    """Return the size of a file or folder in GB; links count as the files they point to."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) / 1e9
    return path.stat().st_size / 1e9 if path.exists() else 0.0
