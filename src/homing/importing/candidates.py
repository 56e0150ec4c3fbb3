"""First step of an import: which rows are good, and where their images lie. No image is read, memory stays bounded.

Rows and members are joined on disk: laid into buckets by photo_id (the first of equal ids is kept), then by image key,
then by place, so that the images can afterwards be read from front to back.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from homing import tables
from homing.errors import HomingError
from homing.importing.adapters import Adapter
from homing.importing.archives import MAX_BYTES, Member, list_members
from homing.importing.external_sort import Spill, by_hash
from homing.importing.validate import Rejects, judge

log = logging.getLogger(__name__)

BUCKET_BYTES = 64e6  # of a table, which grows some ten times in memory
LISTED = 65_536
ROW_GROUP = 16_384
PLACES = ("container", "name", "position", "bytes", "deflated")

_SCHEMA = tables.SCHEMAS["candidates"]
_ROWS = pa.schema([field for field in _SCHEMA if field.name not in PLACES] + [pa.field("key", pa.string())])
_MEMBERS = pa.schema([pa.field("key", pa.string()), *(_SCHEMA.field(name) for name in PLACES)])


def list_candidates(
    adapter: Adapter, dataset: Mapping[str, Any], candidates: str | Path, rejected: str | Path, table_bytes: int
) -> None:
    """Write the `candidates` table, one row per view in storage order, and the `rejected` rows of a collection.

    Raises HomingError when there are no rows, when a fifth of them look swapped, or when a known place is another.
    """
    views, check = dataset.get("views", 1), dataset.get("check", {})
    buckets = max(1, int(table_bytes / BUCKET_BYTES))
    with (
        tempfile.TemporaryDirectory(dir=Path(candidates).parent, prefix=".import-") as folder,
        tables.writer(rejected, "rejected") as out,
    ):
        rejects = Rejects(out)
        rows = Spill(Path(folder), "rows", _ROWS, buckets)
        good = 0
        for batch in adapter.rows():
            kept, bad = judge(batch)
            rejects.add(bad)
            good += len(kept)
            if len(kept):
                check_places(kept, check)
                long = in_views(kept, views)
                rows.add(long, by_hash(long["photo_id"], buckets))
        if good + rejects.kinds.total() == 0:
            raise HomingError("the collection has no rows")
        rejects.check_swapped(good)
        unique = (first_of_equal(frame, rejects) for frame in rows.frames())
        placed = (
            join_images(unique, adapter, Path(folder), buckets, rejects) if adapter.containers else unplaced(unique)
        )
        with tables.writer(candidates, "candidates") as table:
            for frame in placed:
                for start in range(0, len(frame), ROW_GROUP):
                    table.add(frame.iloc[start : start + ROW_GROUP])
        log.info("%d rows: %d candidates, %d rejected", table.rows + out.rows, table.rows, out.rows)


def check_places(rows: pd.DataFrame, check: Mapping[str, list[float]]) -> None:
    """Raise HomingError when a photo whose place is known lies elsewhere: columns under each other's names, mostly."""
    for begin, (latitude, longitude) in check.items():
        for row in rows[rows["photo_id"].str.startswith(begin)].itertuples():
            if abs(row.latitude - latitude) > 0.01 or abs(row.longitude - longitude) > 0.01:
                raise HomingError(
                    f"{row.photo_id}: known to be at {latitude}, {longitude}, but the table says {row.latitude}, "
                    f"{row.longitude}; are the columns swapped? Name the right ones in the data set's `columns`"
                )


def in_views(rows: pd.DataFrame, views: int) -> pd.DataFrame:
    """One row per view: its number and its image's `key`."""
    wide = [name for name in rows if name.startswith("image_")]
    if wide:
        parts = [rows.assign(view=view, key=rows[f"image_{view}"]).drop(columns=wide) for view in range(views)]
        return pd.concat(parts, ignore_index=True).sort_values(["row", "view"], kind="stable")
    view = pd.to_numeric(rows["view"]) if views > 1 and "view" in rows else 0
    return rows.assign(view=view, key=rows.get("image")).drop(columns=["image"], errors="ignore")


def first_of_equal(rows: pd.DataFrame, rejects: Rejects) -> pd.DataFrame:
    """The first row of each photo_id and view."""
    rows = rows.sort_values(["row", "view"], kind="stable", ignore_index=True)
    repeated = rows.duplicated(["photo_id", "view"])
    reject(rows[repeated], lambda row: f"duplicate photo_id {row.photo_id!r}; the first is kept", rejects)
    return rows[~repeated]


def reject(rows: pd.DataFrame, reason: Any, rejects: Rejects) -> None:
    """Reject typed rows, each once whatever the number of its views; a few at a time, for it may be nearly all."""
    once = rows.drop_duplicates("row")
    for start in range(0, len(once), LISTED):
        lines = []
        for row in once.iloc[start : start + LISTED].itertuples():
            content = {"photo_id": row.photo_id, "latitude": row.latitude, "longitude": row.longitude, "image": row.key}
            lines.append((row.row, reason(row), row.photo_id, json.dumps(content, ensure_ascii=False)))
        rejects.add(pd.DataFrame(lines, columns=tables.SCHEMAS["rejected"].names))


def unplaced(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Rows of a collection of coordinates alone."""
    for frame in frames:
        yield frame.drop(columns="key")


def join_images(
    frames: Iterator[pd.DataFrame], adapter: Adapter, folder: Path, buckets: int, rejects: Rejects
) -> Iterator[pd.DataFrame]:
    """The rows with the place of their image, in storage order; rows without an image are rejected."""
    wanted = Spill(folder, "wanted", _ROWS, buckets)
    for frame in frames:
        wanted.add(frame, by_hash(frame["key"], buckets))
    members = Spill(folder, "members", _MEMBERS, buckets)
    ends: dict[int, int] = {}
    listed = 0
    for frame in listings(adapter):
        members.add(frame, by_hash(frame["key"], buckets))
        ends |= (frame.groupby("container")["position"].max() + 1).to_dict()
        listed += len(frame)
    log.info("%d images listed in %d containers", listed, len(adapter.containers))
    starts = {container: sum(ends[c] for c in ends if c < container) for container in ends}
    total = max(1, sum(ends.values()))
    ordered = Spill(folder, "ordered", _SCHEMA, buckets)
    for rows, places in zip(wanted.frames(), members.frames(), strict=True):
        joined = rows.merge(places.drop_duplicates("key"), on="key", how="left", sort=False)
        absent, large = joined["container"].isna(), joined["bytes"] > MAX_BYTES
        reject(joined[absent], lambda row: "no image with this name (missing, or the archive ends early)", rejects)
        reject(joined[large], lambda row: f"image file too large: {row.bytes / 1e6:.0f} MB", rejects)
        found = joined[~absent & ~large].drop(columns="key")
        place = found["container"].map(starts).astype("int64") + found["position"].astype("int64")
        ordered.add(found, (place.to_numpy() * buckets // total).astype(np.int64))
    for frame in ordered.frames():
        yield frame.sort_values(["container", "position", "photo_id", "view"], ignore_index=True)


def listings(adapter: Adapter) -> Iterator[pd.DataFrame]:
    """All members that are photos, in pieces; files of a folder are numbered, since each begins at 0."""
    lines: list[tuple] = []
    for number, (container, member) in enumerate(list_members(adapter.containers)):
        key = adapter.key(member.name)
        if key is not None:
            lines.append((key, container, *_place(adapter, container, member, number)))
        if len(lines) == LISTED:
            yield _frame(lines)
            lines = []
    if lines:
        yield _frame(lines)


def _place(adapter: Adapter, container: int, member: Member, number: int) -> tuple:
    in_folder = hasattr(adapter.containers[container], "root")
    name, position = (member.name, number) if in_folder else (None, member.offset)
    return name, position, member.size, member.deflated


def _frame(lines: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=_MEMBERS.names).astype({"name": object})
