"""Second step of an import: the images of one part of the candidates, checked and laid into shards.

Images are read in storage order, checked by a few threads and written in that order. Whenever a shard is full, it and
a table of what happened to its candidates are set down in a folder that outlives the job, so that a job that was
stopped goes on behind its last whole shard, and ends with the same bytes.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from homing import tables
from homing.files import atomic_path
from homing.importing.adapters import Adapter
from homing.importing.archives import Member
from homing.importing.recode import Stored, prepare
from homing.jobs.fingerprint import of_file, of_values
from homing.photos.images import PhotoError
from homing.photos.shards import Shard, member_name

log = logging.getLogger(__name__)

BATCH_IMAGES, BATCH_BYTES = 256, 32e6
LOG_SECONDS = 60


def store_part(
    adapter: Adapter,
    dataset: Mapping[str, Any],
    settings: Mapping[str, Any],
    candidates: str | Path,
    part: tuple[int, int],
    output: str | Path,
    workspace: str | Path,
    threads: int,
) -> None:
    """Store the images of part (number, of how many) into the folder `output`: shards and stored.parquet.

    `workspace` holds what a stopped job has finished. Images that cannot be used are in the table with their reason.
    """
    torch.set_num_threads(1)  # the threads are ours
    rows = part_rows(candidates, *part)
    folder = Path(workspace) / of_values([of_file(candidates), part, settings, dataset])[:16]
    work = _Work(folder, settings["shard_megabytes"] * 1e6, dataset.get("views", 1))
    rest = (frame.iloc[max(0, work.done - first) :] for first, frame in rows if first + len(frame) > work.done)
    options = dict(settings), dataset.get("crop_bottom_px", 0), dataset.get("min_bytes", 0)
    began = said = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches(rest):
            read = [_read(adapter, row) for row in batch]
            results = pool.map(_prepared, read, [options] * len(read))
            for row, result in zip(batch, results, strict=True):
                work.add(row, result)
            if time.monotonic() - said > LOG_SECONDS:
                said = time.monotonic()
                log.info("%d images, %.0f/s", work.seen, (work.seen - work.resumed) / (said - began))
    work.close_shard()
    with atomic_path(output) as target:
        work.publish(target)
    shutil.rmtree(folder)
    log.info("%d images stored, %d refused", work.stored, work.seen - work.stored)


def part_rows(candidates: str | Path, number: int, parts: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """(rows of the part before it, rows) of each row group of one of `parts` like stretches of the candidates."""
    file = pq.ParquetFile(candidates)
    groups = file.num_row_groups
    first = 0
    for group in range(groups * number // parts, groups * (number + 1) // parts):
        frame = file.read_row_group(group).to_pandas()
        yield first, frame
        first += len(frame)


def batches(frames: Iterator[pd.DataFrame]) -> Iterator[list[Any]]:
    """Lists of rows with at most BATCH_IMAGES images of together about BATCH_BYTES."""
    batch: list[Any] = []
    size = 0
    for frame in frames:
        for row in frame.itertuples(index=False):
            if batch and (len(batch) == BATCH_IMAGES or size + row.bytes > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(row)
            size += row.bytes
    if batch:
        yield batch


def _read(adapter: Adapter, row: Any) -> bytes:
    member = Member(row.name, int(row.position), int(row.bytes), bool(row.deflated))
    return adapter.containers[int(row.container)].read(member)


def _prepared(data: bytes, options: tuple[Mapping[str, Any], int, int]) -> Stored | PhotoError:
    *how, least = options
    if len(data) < least:
        return PhotoError(f"a file of less than {least} bytes")
    try:
        return prepare(data, *how)
    except PhotoError as error:
        return error


class _Work:
    """Shards under way: `done` candidates are in whole ones, `seen` in all."""

    def __init__(self, folder: Path, limit: float, views: int) -> None:
        self.folder, self.limit, self.views = folder, limit, views
        self.shard: Shard | None = None
        self.lines: list[tuple] = []
        self.number = self.done = self.stored = 0
        folder.mkdir(parents=True, exist_ok=True)
        while self._table(self.number).exists():
            reasons = pd.read_parquet(self._table(self.number), columns=["reason"])["reason"]
            self.done += len(reasons)
            self.stored += int(reasons.isna().sum())
            self.number += 1
        self.seen = self.resumed = self.done
        if self.done:
            log.info("going on behind %d shards with %d images", self.number, self.done)

    def _table(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"

    def add(self, row: Any, result: Stored | PhotoError) -> None:
        """Take the next candidate's image, or why there is none."""
        self.seen += 1
        if isinstance(result, PhotoError):
            self.lines.append((row.photo_id, row.view, None, None, None, None, str(result)))
        else:
            self.stored += 1
            self.shard = self.shard or Shard(self.folder / f"{self.number:06d}.tar")
            offset = self.shard.add(member_name(row.photo_id, row.view, self.views), result.data)
            place = (f"{self.number:06d}.tar", offset, len(result.data), result.perceptual_hash)
            self.lines.append((row.photo_id, row.view, *place, None))
        if self.shard is not None and self.shard.size > self.limit:
            self.close_shard()

    def close_shard(self) -> None:
        """Set down the shard and its table; only then they count."""
        if not self.lines:
            return
        if self.shard is not None:
            self.shard.close()
            self.shard = None
        frame = pd.DataFrame(self.lines, columns=tables.SCHEMAS["stored"].names)
        tables.write(self._table(self.number), frame, "stored")
        self.number, self.done, self.lines = self.number + 1, self.seen, []

    def publish(self, target: Path) -> None:
        """Move the shards to `target`, their tables as one."""
        target.mkdir()
        whole = [pq.read_table(self._table(number)) for number in range(self.number)]
        pq.write_table(
            pa.concat_tables(whole) if whole else tables.SCHEMAS["stored"].empty_table(),
            target / "stored.parquet",
            compression="zstd",
        )
        for number in range(self.number):
            tar = self.folder / f"{number:06d}.tar"
            if tar.exists():
                tar.rename(target / tar.name)
