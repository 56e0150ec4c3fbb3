"""Last step of an import: join the stored parts into one data set of photos, index, shards, rejects and ledger.

The join runs on disk by ranges of photo_id: memory is bounded, and the tables are sorted by photo_id.
"""

import csv
import json
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from homing import tables
from homing.errors import HomingError
from homing.files import atomic_path
from homing.importing.external_sort import SAMPLE_SIZE, DiskPartitions, range_boundaries, range_partition
from homing.importing.validate import kind_of
from homing.jobs.fingerprint import read_sums, write_sums

log = logging.getLogger(__name__)

PARTITION_ROWS = 500_000
REPORTED_REJECTS = 10_000  # in rejected_last_failure.csv
TABLES = ("photos", "rejected", "index", "ledger")
PHOTO, INDEX, LEDGER = (tables.SCHEMAS[name].names for name in ("photos", "index", "ledger"))

_CANDIDATES, _STORED = tables.SCHEMAS["candidates"], tables.SCHEMAS["stored"]


def collect_photos(
    candidates: str | Path,
    rejected: str | Path,
    parts: Sequence[str | Path],
    outputs: Mapping[str, str],
    views: int,
    max_rejected_share: float,
) -> None:
    """Write `outputs`: photos, rejected, index, ledger (tables) and shards (folder, hard links to the parts' tars).

    parts: folders of `store_part`; none for a collection without images. A photo is kept if all its views are stored.
    Raises HomingError if more than `max_rejected_share` of the rows are rejected; the first of them are then in
    `rejected_last_failure.csv` beside the tables.
    """
    home = Path(outputs["photos"]).parent
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=home, prefix=".collect-")))
        shards = stack.enter_context(atomic_path(outputs["shards"]))
        out = {name: stack.enter_context(tables.writer(outputs[name], name)) for name in TABLES}
        shard_names = link_shards(parts, shards)
        rejects = _Rejects(out["rejected"])
        for batch in pq.ParquetFile(rejected).iter_batches():
            rejects.add(batch.to_pandas())
        partitions = max(1, pq.read_metadata(candidates).num_rows // PARTITION_ROWS)
        ledger = DiskPartitions(folder, "ledger", tables.SCHEMAS["ledger"], partitions)
        authors = range_boundaries(sample_column(candidates, "author"), partitions)
        for frame in sorted_by_photo_id(Path(candidates), parts, shard_names, folder, partitions):
            complete, incomplete = split_complete(frame, views) if parts else (frame, None)
            rejects.add(incomplete)
            first = complete[complete["view"] == 0].assign(views=views)
            out["photos"].add(first[PHOTO])
            out["index"].add(complete[INDEX] if parts else pd.DataFrame(columns=INDEX))
            ledger.add(first[LEDGER], range_partition(first["author"].fillna(""), authors))
        for frame in ledger.frames():
            out["ledger"].add(frame.sort_values(["author", "photo_id"], na_position="first"))
        rejects.check_share(out["photos"].rows, max_rejected_share, home)
        log.info("%d photos, %d rejected, %d shards", out["photos"].rows, out["rejected"].rows, len(shard_names))


def link_shards(parts: Sequence[str | Path], target: Path) -> dict[tuple[int, str], str]:
    """Link the tars of all parts into `target`, numbered through, with SHA256SUMS from the parts' own.

    Return (part, old name) -> new name.
    """
    target.mkdir()
    names: dict[tuple[int, str], str] = {}
    sums: dict[str, str] = {}
    for number, part in enumerate(parts):
        known = read_sums(Path(part))
        for tar in sorted(Path(part).glob("*.tar")):
            names[number, tar.name] = new = f"{len(names):06d}.tar"
            sums[new] = known[tar.name]
            try:
                os.link(tar, target / new)
            except OSError:  # a file system without hard links
                shutil.copyfile(tar, target / new)
    write_sums(target, sums)
    return names


def sample_column(table: str | Path, column: str) -> list[str]:
    """Return about ten thousand evenly spaced values of a text column, with "" for null."""
    file = pq.ParquetFile(table)
    step = max(1, file.metadata.num_rows // SAMPLE_SIZE)
    batches = (batch[0][::step].to_pylist() for batch in file.iter_batches(columns=[column]))
    return [text or "" for batch in batches for text in batch]


def sorted_by_photo_id(
    candidates: Path,
    parts: Sequence[str | Path],
    shard_names: Mapping[tuple[int, str], str],
    folder: Path,
    partitions: int,
) -> Iterator[pd.DataFrame]:
    """Yield the candidates joined with where they are stored, in order of photo_id and view, a range at a time."""
    boundaries = range_boundaries(sample_column(candidates, "photo_id"), partitions)
    rows = DiskPartitions(folder, "rows", _CANDIDATES, partitions)
    for batch in pq.ParquetFile(candidates).iter_batches():
        frame = batch.to_pandas()
        rows.add(frame, range_partition(frame["photo_id"], boundaries))
    stored = DiskPartitions(folder, "stored", _STORED, partitions)
    for number, part in enumerate(parts):
        for batch in pq.ParquetFile(Path(part) / "stored.parquet").iter_batches():
            frame = batch.to_pandas()
            frame["shard"] = frame["shard"].map(lambda name, number=number: shard_names.get((number, name)))
            stored.add(frame, range_partition(frame["photo_id"], boundaries))
    for wanted, found in zip(rows.frames(), stored.frames(), strict=True):
        joined = wanted.drop(columns="bytes").merge(found, on=["photo_id", "view"], how="left") if parts else wanted
        yield joined.sort_values(["photo_id", "view"], ignore_index=True)


def split_complete(frame: pd.DataFrame, views: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of photos with all views stored, and one reject for each other photo."""
    stored = frame["shard"].notna()
    count = stored.groupby(frame["photo_id"]).transform("sum")
    lines = []
    for photo_id, photo in frame[count != views].groupby("photo_id", sort=True):
        failed = photo[photo["shard"].isna()]
        reason = str(failed["reason"].iloc[0]) if len(failed) else f"only {len(photo)} of {views} views"
        first = photo.iloc[0]
        content = {"photo_id": photo_id, "latitude": first["latitude"], "longitude": first["longitude"]}
        if len(failed) and views > 1:
            reason = f"view {failed['view'].iloc[0]}: {reason}"
        lines.append((int(first["row"]), reason, photo_id, json.dumps(content, ensure_ascii=False)))
    return frame[count == views], pd.DataFrame(lines, columns=tables.SCHEMAS["rejected"].names)


class _Rejects:
    """The rejects of all steps while they are written, counted by kind, the first of them kept for a report."""

    def __init__(self, out: tables.Writer) -> None:
        self.out = out
        self.kinds: Counter[str] = Counter()
        self.first: list[dict[str, object]] = []

    def add(self, frame: pd.DataFrame | None) -> None:
        if frame is None or not len(frame):
            return
        self.out.add(frame)
        self.kinds.update(frame["reason"].map(kind_of))
        self.first += frame.head(REPORTED_REJECTS - len(self.first)).to_dict("records")

    def check_share(self, photos: int, max_share: float, folder: Path) -> None:
        """Log the reasons; raise HomingError if too large a share of all rows is rejected."""
        for reason, count in self.kinds.most_common():
            log.info("rejected %d: %s", count, reason)
        total = photos + self.out.rows
        if self.out.rows <= max_share * total:
            return
        report = folder / "rejected_last_failure.csv"
        with report.open("w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, tables.SCHEMAS["rejected"].names)
            lines.writeheader()
            lines.writerows(self.first)
        most = "; ".join(f"{count} x {reason}" for reason, count in self.kinds.most_common(3))
        raise HomingError(
            f"{self.out.rows} of {total} rows rejected, more than max_rejected_share {max_share:g} allows ({most}); "
            f"see {report}, fix the table or raise the key"
        )
