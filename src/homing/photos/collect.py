"""From a collection to the photo table and its shards: every row judged, every image decoded, no good one lost."""

import csv
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from homing import tables
from homing.errors import HomingError
from homing.files import atomic_path
from homing.photos.adapters import Adapter, Row, adapter_for, as_text
from homing.photos.images import PhotoError, encode_jpeg, is_plain_jpeg, open_image, to_rgb
from homing.photos.shards import ShardWriter

log = logging.getLogger(__name__)

SWAPPED = "latitude and longitude look swapped"
BATCH = 256


def import_photos(
    dataset: Mapping[str, Any],
    files: Sequence[str | Path],
    shards: Mapping[str, Any],
    outputs: Mapping[str, str],
    max_rejected_share: float,
    workers: int,
) -> None:
    """Read a collection into `outputs`: photos, rejected, index (tables) and shards (folder).

    Raises HomingError when more than `max_rejected_share` of the rows are rejected; the rejects are then left in
    `rejected_last_failure.csv` beside the tables.
    """
    adapter = adapter_for(dataset, [Path(path) for path in files])
    photos, rejected = judge_rows(adapter)
    with atomic_path(outputs["shards"]) as folder:
        index, bad_images = store_images(adapter, photos, folder, shards, workers)
        if adapter.has_images:
            stored = set(index["photo_id"])
            for photo_id in [name for name in photos if name not in stored]:
                row = photos.pop(photo_id)
                reason = bad_images.get(photo_id, "no image with this name (missing, or the archive ends early)")
                rejected.append(reject(row, reason))
        _check_share(rejected, len(photos) + len(rejected), max_rejected_share, Path(outputs["rejected"]).parent)
        tables.write(outputs["photos"], photo_table(photos), "photos")
        tables.write(outputs["rejected"], pd.DataFrame(rejected, columns=tables.SCHEMAS["rejected"].names), "rejected")
        tables.write(outputs["index"], index, "index")
    log.info("%d photos, %d rejected, %d images stored", len(photos), len(rejected), len(index))


def judge_rows(adapter: Adapter) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The good rows by photo_id, and the rejected ones with their reasons."""
    photos: dict[str, dict[str, Any]] = {}
    rejected: list[dict[str, Any]] = []
    for number, row in enumerate(adapter.rows()):
        parsed = {"number": number, "row": row}
        try:
            parsed |= parse_row(row)
            if parsed["photo_id"] in photos:
                raise PhotoError(f"duplicate photo_id {parsed['photo_id']!r}; the first is kept")
        except PhotoError as error:
            rejected.append(reject(parsed, str(error)))
            continue
        photos[parsed["photo_id"]] = parsed
    swapped = sum(SWAPPED in entry["reason"] for entry in rejected)
    if swapped > 0.2 * (len(photos) + len(rejected)):
        raise HomingError(f"{swapped} rows: {SWAPPED}; name the right columns in the data set's `columns`")
    return photos, rejected


def parse_row(row: Row) -> dict[str, Any]:
    """The typed values of a row. Raises PhotoError with the reason."""
    if not row.get("photo_id"):
        raise PhotoError("empty photo_id")
    latitude, longitude = _number(row, "latitude"), _number(row, "longitude")
    if 90 < abs(latitude) <= 180 and abs(longitude) <= 90:
        raise PhotoError(f"latitude {latitude:g} is outside -90..90; {SWAPPED}")
    if abs(latitude) > 90:
        raise PhotoError(f"latitude {latitude:g} is outside -90..90")
    if abs(longitude) > 180:
        raise PhotoError(f"longitude {longitude:g} is outside -180..180")
    heading = row.get("heading_deg", "")
    return {
        "photo_id": row["photo_id"],
        "latitude": latitude,
        "longitude": -180.0 if longitude == 180 else longitude,
        "captured_at": _time(row.get("captured_at", "")),
        "author": row.get("author") or None,
        "heading_deg": _number(row, "heading_deg") % 360 if heading else None,
        "split": row.get("split") or None,
        "licence": row.get("licence") or None,
        "source_url": row.get("source_url") or None,
    }


def _number(row: Row, name: str) -> float:
    text = row.get(name, "").strip()
    if not text:
        raise PhotoError(f"empty {name}")
    try:
        value = float(text)
    except ValueError:
        raise PhotoError(f"{name} {text!r} is not a number") from None
    if not math.isfinite(value):
        raise PhotoError(f"{name} {text!r} is not a finite number")
    return value


def _time(text: str) -> pd.Timestamp | None:
    """A date, or milliseconds since 1970 as in OSV-5M; null when empty. Raises PhotoError when it is neither."""
    if not text:
        return None
    try:
        stamp = pd.Timestamp(int(text), unit="ms") if text.isdigit() and len(text) > 8 else pd.Timestamp(text)
    except (ValueError, OverflowError):
        raise PhotoError(f"captured_at {text!r} is not a date") from None
    return stamp.tz_localize(None) if stamp.tzinfo is None else stamp.tz_convert("UTC").tz_localize(None)


def reject(parsed: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """A line of the table of rejects."""
    row = parsed["row"]
    return {"row": parsed["number"], "reason": reason, "photo_id": row.get("photo_id") or None, "content": as_text(row)}


def photo_table(photos: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The `photos` table, ordered by photo_id."""
    names = tables.SCHEMAS["photos"].names
    frame = pd.DataFrame([photos[name] | {"views": 1} for name in sorted(photos)], columns=names)
    return frame.astype({"captured_at": "datetime64[ms]", "latitude": float, "longitude": float})


def store_images(
    adapter: Adapter, photos: Mapping[str, Any], folder: Path, settings: Mapping[str, Any], workers: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Check and shard the images of the good rows; the index, and the reason for each image that cannot be used."""
    writer = ShardWriter(folder, settings["shard_megabytes"])
    bad: dict[str, str] = {}
    stored: set[str] = set()

    def prepared(item: tuple[str, bytes]) -> tuple[str, bytes | PhotoError]:
        try:
            return item[0], prepare_image(item[1], settings)
        except PhotoError as error:
            return item[0], error

    wanted = ((name, data) for name, data in adapter.images() if name in photos)
    with ThreadPoolExecutor(workers) as pool:
        for batch in batches(wanted, BATCH):
            for photo_id, result in pool.map(prepared, batch):
                if isinstance(result, PhotoError):
                    bad.setdefault(photo_id, str(result))
                elif photo_id not in stored:
                    writer.add(photo_id, result)
                    stored.add(photo_id)
    writer.close()
    return writer.index(), bad


def batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of at most `size` items."""
    while batch := list(islice(items, size)):
        yield batch


def prepare_image(data: bytes, settings: Mapping[str, Any]) -> bytes:
    """The bytes to store: as they came when they are a plain JPEG of fitting size, else upright RGB without EXIF."""
    image = open_image(data, settings["max_megapixels"])
    keep = is_plain_jpeg(image) and max(image.size) <= settings["max_side"]
    image = to_rgb(image)
    return data if keep else encode_jpeg(image, settings["max_side"], settings["quality"])


def _check_share(rejected: list[dict[str, Any]], total: int, allowed: float, folder: Path) -> None:
    reasons = Counter(_kind(entry["reason"]) for entry in rejected)
    for reason, count in reasons.most_common():
        log.info("rejected %d: %s", count, reason)
    if total == 0:
        raise HomingError("the collection has no rows")
    if len(rejected) <= allowed * total:
        return
    report = folder / "rejected_last_failure.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with report.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, tables.SCHEMAS["rejected"].names)
        writer.writeheader()
        writer.writerows(rejected)
    most = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise HomingError(
        f"{len(rejected)} of {total} rows rejected, more than max_rejected_share {allowed:g} allows ({most}); "
        f"see {report}, mend the table or raise the key"
    )


def _kind(reason: str) -> str:
    """A reason without the values of its row."""
    words = [
        word for word in reason.split(";")[0].split() if not any(letter.isdigit() or letter == "'" for letter in word)
    ]
    return " ".join(words)
