"""All labels of a photo table, partition by partition, spread over Dask workers when there are several."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from homing import tables
from homing.errors import HomingError
from homing.files import atomic_path
from homing.labels import agreement
from homing.labels.areas import label_areas
from homing.labels.rasters import Rules, raster_path, sample

log = logging.getLogger(__name__)

Files = Mapping[str, Sequence[str]]
NAMES = {  # raster -> columns of its mean and its range over the months
    "climate": ("climate", None),
    "temperature": ("temperature_c", "temperature_range_c"),
    "precipitation": ("precipitation_mm", "precipitation_range_mm"),
    "elevation": ("elevation_m", None),
    "population": ("population_per_km2", None),
}
# What the twelve means on Earth can be; beyond it the file has another unit, or its scale and offset were lost.
PLAUSIBLE = {
    "temperature": (-80, 60, "degrees Celsius"),
    "precipitation": (0, 10_000, "mm a month"),
    "elevation": (-12_000, 9_000, "metres"),
}


def label_photos(
    photos: str | Path,
    areas: str | Path,
    rasters: Files,
    driving_side: str | Path,
    settings: Mapping[str, Any],
    output: str | Path,
    agreement_csv: str | Path,
    workers: int,
    memory_mb: int,
) -> None:
    """Write the `labels` table of a photo table, in its order. The result does not depend on workers or partitions.

    Beside it, how often each label agrees with what the collection says of its photos (see `agreement`).
    """
    frame = tables.read(photos, "photos", columns=["photo_id", "latitude", "longitude", "captured_at"])
    order = np.argsort(morton_key(frame["latitude"].to_numpy(), frame["longitude"].to_numpy()), kind="stable")
    rows = settings["partition_rows"]
    with tempfile.TemporaryDirectory() as folder:
        sorted_photos = Path(folder) / "photos.parquet"
        schema = pa.schema([tables.SCHEMAS["photos"].field(name) for name in frame.columns])
        table = pa.Table.from_pandas(frame.iloc[order], schema=schema, preserve_index=False)
        pq.write_table(table, sorted_photos, row_group_size=rows)
        partitions = range(max(1, -(-len(frame) // rows)))
        arguments = (sorted_photos, str(areas), dict(rasters), str(driving_side), dict(settings))
        parts = _run([(number, *arguments) for number in partitions], workers, memory_mb, folder)
        labels = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    labels = labels.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
    tables.write(output, labels, "labels")
    given = tables.read(photos, "photos", columns=list(agreement.PAIRS))
    codes = agreement.read_country_codes(driving_side)
    with atomic_path(agreement_csv) as partial:
        agreement.compare(given, labels, codes).to_csv(partial, index=False)
    missing = labels.isna().mean()
    for name in ("country", *(column for column, _ in NAMES.values())):
        log.info("%s: %.2f %% missing", name, 100 * missing[name])


def _run(tasks: list[tuple], workers: int, memory_mb: int, folder: str) -> list[Path]:
    """One partition in this process; several over a Dask cluster of single-threaded processes in this job."""
    if len(tasks) == 1 or workers == 1:
        return [label_partition(*task) for task in tasks]
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=min(workers, len(tasks)),
            threads_per_worker=1,
            processes=True,
            memory_limit=int(0.85 * memory_mb * 1e6 / workers),
            local_directory=folder,
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        return client.gather([client.submit(label_partition, *task, pure=False) for task in tasks])


def label_partition(
    number: int, photos: Path, areas: str, rasters: Files, driving_side: str, settings: Mapping[str, Any]
) -> Path:
    """Label one row group of the sorted photos into a file beside it; returns its path."""
    frame = pq.ParquetFile(photos).read_row_group(number).to_pandas() if pq.ParquetFile(photos).num_row_groups else None
    if frame is None:
        frame = pd.read_parquet(photos)
    latitude, longitude = frame["latitude"].to_numpy(), frame["longitude"].to_numpy()
    labels = label_areas(areas, latitude, longitude, settings["boundaries"]["nearest_km"])
    labels.insert(0, "photo_id", frame["photo_id"])
    for name in NAMES:
        labels = labels.assign(**sample_raster(name, rasters[name], settings[name], latitude, longitude))
    labels["month"] = frame["captured_at"].dt.month.astype("Int8")
    sides = read_driving_sides(driving_side)
    labels["drives_on_left"] = labels["country"].map(sides).astype(object)
    path = Path(photos).parent / f"labels-{number:06d}.parquet"
    labels.to_parquet(path)
    return path


def sample_raster(
    name: str, files: Sequence[str], settings: Mapping[str, Any], latitude: np.ndarray, longitude: np.ndarray
) -> dict[str, np.ndarray | pd.Series]:
    """The label columns of one raster source: its value, or mean and range of twelve months, and the distance used."""
    rules = Rules(
        nearest_km=settings.get("nearest_km", 0),
        minimum=settings.get("minimum"),
        zero_is_nodata=name == "climate",
        counts=settings.get("unit") == "count",
    )
    member = settings.get("member")
    layers = [member.format(month=month) for month in range(1, 13)] if member and "{month" in member else [member]
    samples = [sample(raster_path(files, layer), latitude, longitude, rules) for layer in layers]
    values = np.stack([value for value, _ in samples])
    _check_unit(name, files, values)
    mean_name, range_name = NAMES[name]
    columns: dict[str, np.ndarray | pd.Series] = {mean_name: values.mean(axis=0)}
    if name == "climate":
        classes = np.where((values[0] >= 1) & (values[0] <= 30), values[0], np.nan)
        columns[mean_name] = pd.array(classes, dtype="Float64").astype("Int8")
    if range_name:
        columns[range_name] = np.ptp(values, axis=0) if len(layers) > 1 else np.full(len(latitude), np.nan)
    columns[f"{name}_distance_km"] = np.stack([distance for _, distance in samples]).max(axis=0)
    return columns


def _check_unit(name: str, files: Sequence[str], values: np.ndarray) -> None:
    least, most, unit = PLAUSIBLE.get(name, (-np.inf, np.inf, ""))
    wrong = values[(values < least) | (values > most)]
    if wrong.size:
        raise HomingError(
            f"{Path(files[0]).name}: {name} of {wrong[0]:g} is not in {unit} ({least} to {most}); "
            "another unit, or a scale and offset that the file does not state? Choose another source in labels"
        )


def read_driving_sides(path: str | Path) -> dict[str, bool]:
    """Whether people drive on the left, by ISO3 or GADM code ("NA" is Namibia, not missing)."""
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    return {row.iso_a3: row.side == "left" for row in frame.itertuples() if row.iso_a3 and row.side}


def morton_key(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Position along a space-filling curve, uint64: neighbours on it are neighbours on the globe, mostly."""
    key = np.zeros(len(latitude), dtype=np.uint64)
    for shift, values in enumerate(((longitude + 180) / 360, (latitude + 90) / 180)):
        bits = np.minimum(values * 2**24, 2**24 - 1).astype(np.uint64)
        for bit in range(24):
            key |= ((bits >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + shift)
    return key
