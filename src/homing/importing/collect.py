"""Last step of an import: the parts become one data set of photos, index, shards, rejects and ledger.

Joined on disk by ranges of photo_id, so that memory stays bounded and the tables are in order of photo_id.
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
from homing.importing.external_sort import SAMPLE, Spill, by_range, edges_of
from homing.importing.validate import kind_of

log = logging.getLogger(__name__)

BUCKET_ROWS = 500_000
LISTED_REJECTS = 10_000
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

    A photo counts when all its views are stored. Raises HomingError when more than `max_rejected_share` of the rows
    are rejected; the first of them are then left in `rejected_last_failure.csv` beside the tables.
    """
    home = Path(outputs["photos"]).parent
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=home, prefix=".collect-")))
        shards = stack.enter_context(atomic_path(outputs["shards"]))
        out = {name: stack.enter_context(tables.writer(outputs[name], name)) for name in TABLES}
        names = link_shards(parts, shards)
        refused = _Refused(out["rejected"])
        for batch in pq.ParquetFile(rejected).iter_batches():
            refused.add(batch.to_pandas())
        buckets = max(1, pq.read_metadata(candidates).num_rows // BUCKET_ROWS)
        ledger = Spill(folder, "ledger", tables.SCHEMAS["ledger"], buckets)
        authors = edges_of(sampled(candidates, "author"), buckets)
        for frame in in_order(Path(candidates), parts, names, folder, buckets):
            good, bad = whole_photos(frame, views) if parts else (frame, None)
            refused.add(bad)
            first = good[good["view"] == 0].assign(views=views)
            out["photos"].add(first[PHOTO])
            out["index"].add(good[INDEX] if parts else pd.DataFrame(columns=INDEX))
            ledger.add(first[LEDGER], by_range(first["author"].fillna(""), authors))
        for frame in ledger.frames():
            out["ledger"].add(frame.sort_values(["author", "photo_id"], na_position="first"))
        refused.check_share(out["photos"].rows, max_rejected_share, home)
        log.info("%d photos, %d rejected, %d shards", out["photos"].rows, out["rejected"].rows, len(names))


def link_shards(parts: Sequence[str | Path], target: Path) -> dict[tuple[int, str], str]:
    """Give the tars of all parts running numbers in `target`; (part, old name) -> new name."""
    target.mkdir()
    names: dict[tuple[int, str], str] = {}
    for number, part in enumerate(parts):
        for tar in sorted(Path(part).glob("*.tar")):
            names[number, tar.name] = f"{len(names):06d}.tar"
            try:
                os.link(tar, target / names[number, tar.name])
            except OSError:  # a file system without hard links
                shutil.copyfile(tar, target / names[number, tar.name])
    return names


def sampled(table: str | Path, column: str) -> list[str]:
    """Some ten thousand texts of a column, evenly drawn; null counts as "", the lowest."""
    file = pq.ParquetFile(table)
    step = max(1, file.metadata.num_rows // SAMPLE)
    batches = (batch[0][::step].to_pylist() for batch in file.iter_batches(columns=[column]))
    return [text or "" for batch in batches for text in batch]


def in_order(
    candidates: Path, parts: Sequence[str | Path], names: Mapping[tuple[int, str], str], folder: Path, buckets: int
) -> Iterator[pd.DataFrame]:
    """The candidates with where they were stored, in order of photo_id and view, a range of them at a time."""
    edges = edges_of(sampled(candidates, "photo_id"), buckets)
    rows = Spill(folder, "rows", _CANDIDATES, buckets)
    for batch in pq.ParquetFile(candidates).iter_batches():
        frame = batch.to_pandas()
        rows.add(frame, by_range(frame["photo_id"], edges))
    stored = Spill(folder, "stored", _STORED, buckets)
    for number, part in enumerate(parts):
        for batch in pq.ParquetFile(Path(part) / "stored.parquet").iter_batches():
            frame = batch.to_pandas()
            frame["shard"] = frame["shard"].map(lambda name, number=number: names.get((number, name)))
            stored.add(frame, by_range(frame["photo_id"], edges))
    for wanted, found in zip(rows.frames(), stored.frames(), strict=True):
        joined = wanted.drop(columns="bytes").merge(found, on=["photo_id", "view"], how="left") if parts else wanted
        yield joined.sort_values(["photo_id", "view"], ignore_index=True)


def whole_photos(frame: pd.DataFrame, views: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of photos with all views stored, and one reject for each other photo."""
    usable = frame["shard"].notna()
    count = usable.groupby(frame["photo_id"]).transform("sum")
    good = frame[count == views]
    broken = frame[count != views]
    lines = []
    for photo_id, photo in broken.groupby("photo_id", sort=True):
        bad = photo[photo["shard"].isna()]
        reason = str(bad["reason"].iloc[0]) if len(bad) else f"only {len(photo)} of {views} views"
        place = photo.iloc[0]
        content = {"photo_id": photo_id, "latitude": place["latitude"], "longitude": place["longitude"]}
        if len(bad) and views > 1:
            reason = f"view {bad['view'].iloc[0]}: {reason}"
        lines.append((int(place["row"]), reason, photo_id, json.dumps(content, ensure_ascii=False)))
    return good, pd.DataFrame(lines, columns=tables.SCHEMAS["rejected"].names)


class _Refused:
    """The rejects of all steps: written, counted by kind, the first of them at hand."""

    def __init__(self, out: tables.Writer) -> None:
        self.out, self.kinds, self.first = out, Counter(), []

    def add(self, frame: pd.DataFrame | None) -> None:
        if frame is None or not len(frame):
            return
        self.out.add(frame)
        self.kinds.update(frame["reason"].map(kind_of))
        self.first += frame.head(LISTED_REJECTS - len(self.first)).to_dict("records")

    def check_share(self, good: int, allowed: float, folder: Path) -> None:
        for reason, count in self.kinds.most_common():
            log.info("rejected %d: %s", count, reason)
        total = good + self.out.rows
        if self.out.rows <= allowed * total:
            return
        report = folder / "rejected_last_failure.csv"
        with report.open("w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, tables.SCHEMAS["rejected"].names)
            lines.writeheader()
            lines.writerows(self.first)
        most = "; ".join(f"{count} x {reason}" for reason, count in self.kinds.most_common(3))
        raise HomingError(
            f"{self.out.rows} of {total} rows rejected, more than max_rejected_share {allowed:g} allows ({most}); "
            f"see {report}, mend the table or raise the key"
        )
