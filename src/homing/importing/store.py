"""Second step of an import: check the images of one part of the candidates and write them to shards.

Images are read in storage order, prepared by threads and written in that order. Each full shard is kept in a folder
that outlives the job, with a table of what became of its candidates: a job that was stopped resumes behind its last
full shard, and ends with the same bytes.
"""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
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
from homing.importing.recode import StoredImage, prepare
from homing.jobs.fingerprint import of_file, of_values, write_sums
from homing.photos.images import PhotoError
from homing.photos.shards import ShardWriter, member_name

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
    """Store the images of `part` (number, number of parts) in the folder `output`: shards and stored.parquet.

    settings: the configuration's `shards`. workspace: folder that keeps the full shards of a job that was stopped.
    Images that cannot be used are in the table with their reason.
    """
    torch.set_num_threads(1)  # the images are spread over threads instead
    folder = Path(workspace) / of_values([of_file(candidates), part, settings, dataset])[:16]
    shards = _ResumableShards(folder, settings["shard_megabytes"] * 1e6, dataset.get("views", 1))
    crop_bottom, min_bytes = dataset.get("crop_bottom_px", 0), dataset.get("min_bytes", 0)
    started = logged = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches(_skip_rows(part_rows(candidates, *part), shards.done)):
            files = [_read(adapter, row) for row in batch]
            results = pool.map(lambda data: _prepare(data, settings, crop_bottom, min_bytes), files)
            for row, result in zip(batch, results, strict=True):
                shards.add(row, result)
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                log.info("%d images, %.0f/s", shards.seen, (shards.seen - shards.resumed) / (logged - started))
    shards.close_shard()
    with atomic_path(output) as target:
        shards.publish(target)
    shutil.rmtree(folder)
    log.info("%d images stored, %d refused", shards.stored, shards.seen - shards.stored)


def part_rows(candidates: str | Path, number: int, parts: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the row groups of part `number` of `parts` of the candidates, each with the number of rows before it.

    The parts are consecutive and of about the same size; the rows before count from the part's beginning.
    """
    file = pq.ParquetFile(candidates)
    groups = file.num_row_groups
    first = 0
    for group in range(groups * number // parts, groups * (number + 1) // parts):
        frame = file.read_row_group(group).to_pandas()
        yield first, frame
        first += len(frame)


def _skip_rows(frames: Iterable[tuple[int, pd.DataFrame]], done: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of `part_rows` behind the first `done`."""
    for first, frame in frames:
        if first + len(frame) > done:
            yield frame.iloc[max(0, done - first) :]


def batches(frames: Iterator[pd.DataFrame]) -> Iterator[list[Any]]:
    """Yield lists of rows, each of at most BATCH_IMAGES images with about BATCH_BYTES in all."""
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


def _prepare(data: bytes, settings: Mapping[str, Any], crop_bottom: int, min_bytes: int) -> StoredImage | PhotoError:
    """Return the image to store, or the error that says why it cannot be used."""
    if len(data) < min_bytes:
        return PhotoError(f"a file of less than {min_bytes} bytes")
    try:
        return prepare(data, settings, crop_bottom)
    except PhotoError as error:
        return error


class _ResumableShards:
    """The shards of a part while they are written: `done` candidates are in full ones, `seen` were added in all."""

    def __init__(self, folder: Path, limit: float, views: int) -> None:
        self.folder, self.limit, self.views = folder, limit, views
        self.shard: ShardWriter | None = None
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
            log.info("resuming behind %d shards with %d images", self.number, self.done)

    def _table(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"

    def add(self, row: Any, result: StoredImage | PhotoError) -> None:
        """Add the next candidate's image, or the error that says why there is none."""
        self.seen += 1
        if isinstance(result, PhotoError):
            self.lines.append((row.photo_id, row.view, None, None, None, None, str(result)))
        else:
            self.stored += 1
            self.shard = self.shard or ShardWriter(self.folder / f"{self.number:06d}.tar")
            offset = self.shard.add(member_name(row.photo_id, row.view, self.views), result.data)
            location = (f"{self.number:06d}.tar", offset, len(result.data), result.perceptual_hash)
            self.lines.append((row.photo_id, row.view, *location, None))
        if self.shard is not None and self.shard.size > self.limit:
            self.close_shard()

    def close_shard(self) -> None:
        """Finish the shard and write its table, from which on it counts as done."""
        if not self.lines:
            return
        if self.shard is not None:
            self.shard.close()
            self.shard = None
        frame = pd.DataFrame(self.lines, columns=tables.SCHEMAS["stored"].names)
        tables.write(self._table(self.number), frame, "stored")
        self.number, self.done, self.lines = self.number + 1, self.seen, []

    def publish(self, target: Path) -> None:
        """Move the shards to the new folder `target`, with one table of all of them."""
        target.mkdir()
        parts = [pq.read_table(self._table(number)) for number in range(self.number)]
        pq.write_table(
            pa.concat_tables(parts) if parts else tables.SCHEMAS["stored"].empty_table(),
            target / "stored.parquet",
            compression="zstd",
        )
        for number in range(self.number):
            tar = self.folder / f"{number:06d}.tar"
            if tar.exists():
                tar.rename(target / tar.name)
        write_sums(target)
