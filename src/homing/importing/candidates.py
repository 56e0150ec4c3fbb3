"""First step of an import: validate the rows of a collection and locate their images, without reading an image.

Rows and image files are joined on disk in bounded memory: they are partitioned by photo_id (of equal ids the first is
kept), then by image key, then by storage position, so that the next step reads each archive from front to back.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from homing import tables
from homing.errors import HomingError
from homing.importing.adapters import TABLE_SUFFIXES, Adapter
from homing.importing.archives import MAX_IMAGE_BYTES, Folder, Member, list_members
from homing.importing.external_sort import DiskPartitions, hash_partition
from homing.importing.validate import Rejects, validate

log = logging.getLogger(__name__)

PARTITION_BYTES = 64e6  # of the table's file; in memory it takes about ten times as much
CHUNK_ROWS = 65_536
ROW_GROUP = 16_384  # of the candidates, which `store` divides among its jobs by row groups
LOCATION = ("container", "name", "position", "bytes", "deflated")

_SCHEMA = tables.SCHEMAS["candidates"]
_ROWS = pa.schema([field for field in _SCHEMA if field.name not in LOCATION] + [pa.field("key", pa.string())])
_MEMBERS = pa.schema([pa.field("key", pa.string()), *(_SCHEMA.field(name) for name in LOCATION)])


def list_candidates(
    adapter: Adapter, dataset: Mapping[str, Any], files: Sequence[Path], candidates: str | Path, rejected: str | Path
) -> None:
    """Write the table `candidates`, one row per view in storage order, and the table `rejected` of a collection.

    files: the collection's own, whose tables decide the number of partitions on disk. Raises HomingError if there are
    no rows, if many have latitude and longitude swapped, or if a photo of known coordinates has others.
    """
    table_bytes = sum(file.stat().st_size for file in files if file.suffix in TABLE_SUFFIXES)
    partitions = max(1, int(table_bytes / PARTITION_BYTES))
    with (
        tempfile.TemporaryDirectory(dir=Path(candidates).parent, prefix=".import-") as name,
        tables.writer(rejected, "rejected") as out,
    ):
        folder, rejects = Path(name), Rejects(out)
        rows = DiskPartitions(folder, "rows", _ROWS, partitions)
        _validate_rows(adapter, dataset, rows, rejects)
        unique = (drop_duplicates(frame, rejects) for frame in rows.frames())
        if adapter.containers:
            located = join_images(unique, adapter, folder, partitions, rejects)
        else:
            located = (frame.drop(columns="key") for frame in unique)
        with tables.writer(candidates, "candidates") as table:
            for frame in located:
                for start in range(0, len(frame), ROW_GROUP):
                    table.add(frame.iloc[start : start + ROW_GROUP])
        log.info("%d rows: %d candidates, %d rejected", table.rows + out.rows, table.rows, out.rows)


def _validate_rows(adapter: Adapter, dataset: Mapping[str, Any], rows: DiskPartitions, rejects: Rejects) -> None:
    """Partition the valid rows of a collection by photo_id, one row per view, and reject the others."""
    views, known_places = dataset.get("views", 1), dataset.get("check", {})
    count = 0
    for batch in adapter.rows():
        valid, invalid = validate(batch)
        rejects.add(invalid)
        count += len(valid)
        if len(valid):
            check_known_places(valid, known_places)
            by_view = one_row_per_view(valid, views)
            rows.add(by_view, hash_partition(by_view["photo_id"], rows.count))
    if count + rejects.kinds.total() == 0:
        raise HomingError("the collection has no rows")
    rejects.check_swapped(count)


def check_known_places(rows: pd.DataFrame, known: Mapping[str, list[float]]) -> None:
    """Raise HomingError if a photo whose id begins with a key of `known` lies more than 0.01 degrees from its value.

    Mostly, latitude and longitude are then under each other's name.
    """
    for prefix, (latitude, longitude) in known.items():
        for row in rows[rows["photo_id"].str.startswith(prefix)].itertuples():
            if abs(row.latitude - latitude) > 0.01 or abs(row.longitude - longitude) > 0.01:
                raise HomingError(
                    f"{row.photo_id}: known to be at {latitude}, {longitude}, but the table says {row.latitude}, "
                    f"{row.longitude}; are the columns swapped? Name the right ones in the data set's `columns`"
                )


def one_row_per_view(rows: pd.DataFrame, views: int) -> pd.DataFrame:
    """Return the rows with the columns `view` and `key` (of its image) in place of their image columns."""
    wide = [name for name in rows if name.startswith("image_")]
    if wide:
        parts = [rows.assign(view=view, key=rows[f"image_{view}"]).drop(columns=wide) for view in range(views)]
        return pd.concat(parts, ignore_index=True).sort_values(["row", "view"], kind="stable")
    view = pd.to_numeric(rows["view"]) if views > 1 and "view" in rows else 0
    return rows.assign(view=view, key=rows.get("image")).drop(columns=["image"], errors="ignore")


def drop_duplicates(rows: pd.DataFrame, rejects: Rejects) -> pd.DataFrame:
    """Return the first row of each photo_id and view; reject the others."""
    rows = rows.sort_values(["row", "view"], kind="stable", ignore_index=True)
    repeated = rows.duplicated(["photo_id", "view"])
    _reject(rows[repeated], lambda row: f"duplicate photo_id {row.photo_id!r}; the first is kept", rejects)
    return rows[~repeated]


def _reject(rows: pd.DataFrame, reason: Callable[[Any], str], rejects: Rejects) -> None:
    """Reject typed rows, each once whatever its number of views; `reason` is given a named tuple of the row."""
    once = rows.drop_duplicates("row")
    for start in range(0, len(once), CHUNK_ROWS):  # it may be nearly the whole table
        lines = []
        for row in once.iloc[start : start + CHUNK_ROWS].itertuples():
            content = {"photo_id": row.photo_id, "latitude": row.latitude, "longitude": row.longitude, "image": row.key}
            lines.append((row.row, reason(row), row.photo_id, json.dumps(content, ensure_ascii=False)))
        rejects.add(pd.DataFrame(lines, columns=tables.SCHEMAS["rejected"].names))


def join_images(
    frames: Iterator[pd.DataFrame], adapter: Adapter, folder: Path, partitions: int, rejects: Rejects
) -> Iterator[pd.DataFrame]:
    """Yield the rows with the location of their image, in storage order; reject rows without an image.

    frames: rows with their image's `key`. folder: for the partitions on disk.
    """
    wanted = DiskPartitions(folder, "wanted", _ROWS, partitions)
    for frame in frames:
        wanted.add(frame, hash_partition(frame["key"], partitions))
    members = DiskPartitions(folder, "members", _MEMBERS, partitions)
    ends: dict[int, int] = {}  # of each container, behind its last image
    count = 0
    for frame in list_images(adapter):
        members.add(frame, hash_partition(frame["key"], partitions))
        ends |= (frame.groupby("container")["position"].max() + 1).to_dict()
        count += len(frame)
    log.info("%d images listed in %d containers", count, len(adapter.containers))
    ordered = DiskPartitions(folder, "ordered", _SCHEMA, partitions)
    for rows, images in zip(wanted.frames(), members.frames(), strict=True):
        found = _locate(rows, images, rejects)
        ordered.add(found, _partition_by_position(found, ends, partitions))
    for frame in ordered.frames():
        yield frame.sort_values(["container", "position", "photo_id", "view"], ignore_index=True)


def _locate(rows: pd.DataFrame, images: pd.DataFrame, rejects: Rejects) -> pd.DataFrame:
    """Join rows with images on `key`, rejecting rows without an image or with too large a file."""
    joined = rows.merge(images.drop_duplicates("key"), on="key", how="left", sort=False)
    absent, large = joined["container"].isna(), joined["bytes"] > MAX_IMAGE_BYTES
    _reject(joined[absent], lambda row: "no image with this name (missing, or the archive ends early)", rejects)
    _reject(joined[large], lambda row: f"image file too large: {row.bytes / 1e6:.0f} MB", rejects)
    return joined[~absent & ~large].drop(columns="key")


def _partition_by_position(rows: pd.DataFrame, ends: Mapping[int, int], partitions: int) -> np.ndarray:
    """Return the partition of each row by its position in all containers one after the other, int64 (n,)."""
    starts = {container: sum(ends[other] for other in ends if other < container) for container in ends}
    position = rows["container"].map(starts).astype("int64") + rows["position"].astype("int64")
    return (position.to_numpy() * partitions // max(1, sum(ends.values()))).astype(np.int64)


def list_images(adapter: Adapter) -> Iterator[pd.DataFrame]:
    """Yield the key and location of all members that are photos, in chunks."""
    lines: list[tuple] = []
    for number, (container, member) in enumerate(list_members(adapter.containers)):
        key = adapter.key(member.name)
        if key is not None:
            lines.append((key, container, *_location(adapter, container, member, number)))
        if len(lines) == CHUNK_ROWS:
            yield _frame(lines)
            lines = []
    if lines:
        yield _frame(lines)


def _location(adapter: Adapter, container: int, member: Member, number: int) -> tuple[str | None, int, int, bool]:
    """Return name, position, bytes and deflated; files of a folder are numbered, since all begin at offset 0."""
    in_folder = isinstance(adapter.containers[container], Folder)
    name, position = (member.name, number) if in_folder else (None, member.offset)
    return name, position, member.size, member.deflated


def _frame(lines: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=_MEMBERS.names).astype({"name": object})
