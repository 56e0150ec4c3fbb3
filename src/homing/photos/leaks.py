"""Photos of a run that its benchmarks have too: found by id, photographer, place and time, or picture."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from homing import tables
from homing.photos.perceptual import near_pairs

log = logging.getLogger(__name__)

# A Flickr photo's number in the names of MP-16 (aa_bb_123456789), IM2GPS (Place_00001_123456789_secret_...) and YFCC4k.
FLICKR = r"(?:^|_)([1-9]\d{6,10})(?:_|$)"
COLUMNS = ["photo_id", "latitude", "longitude", "captured_at", "author"]
LEAK = tables.SCHEMAS["leaks"].names

Collection = tuple[str | Path, str | Path]  # paths of its photos and its index


def find_leaks(own: Collection, benchmarks: Mapping[str, Collection], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The `leaks` table: each photo of `own` that matches a benchmark's, once per reason and benchmark.

    `settings` are the keys by (the reasons looked for) and near_duplicate_bits.
    """
    ours, found = _Collection(own), []
    for benchmark, collection in benchmarks.items():
        theirs = _Collection(collection)
        for reason in settings["by"]:
            pairs = _FINDERS[reason](ours, theirs, settings["near_duplicate_bits"])
            pairs = pairs.drop_duplicates("photo_id").assign(reason=reason, benchmark=benchmark)
            log.info("%s: %d photos by %s", benchmark, len(pairs), reason)
            found.append(pairs[LEAK])
    leaks = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=LEAK, dtype="str")
    return leaks.sort_values(["photo_id", "benchmark", "reason"], ignore_index=True)


def without_leaks(splits: pd.DataFrame, leaks: pd.DataFrame) -> pd.DataFrame:
    """Splits whose training and validation photos have no match; the others are unused."""
    matched = splits["photo_id"].isin(leaks["photo_id"]) & splits["split"].isin(["train", "val"])
    log.info("%d training and validation photos left out: a benchmark has them too", matched.sum())
    return splits.assign(split=splits["split"].mask(matched, "unused"))


def summary(leaks: pd.DataFrame) -> dict[str, Any]:
    """Counts: photos in all, and by benchmark and reason."""
    by = leaks.groupby(["benchmark", "reason"]).size()
    counts: dict[str, dict[str, int]] = {}
    for (benchmark, reason), count in by.items():
        counts.setdefault(benchmark, {})[reason] = int(count)
    return {"photos": int(leaks["photo_id"].nunique()), "by_benchmark": counts}


class _Collection:
    """The photos and image hashes of a data set."""

    def __init__(self, paths: Collection) -> None:
        self.photos = tables.read(paths[0], "photos", columns=COLUMNS)
        index = tables.read(paths[1], "index", columns=["photo_id", "perceptual_hash"]).dropna()
        self.hashed, self.hashes = index["photo_id"], index["perceptual_hash"].to_numpy(dtype=np.int64)


def _same(ours: pd.Series, theirs: pd.Series, ids: Sequence[pd.Series]) -> pd.DataFrame:
    """Pairs of photos whose keys are equal and known."""
    left = pd.DataFrame({"photo_id": ids[0], "key": ours}).dropna()
    right = pd.DataFrame({"benchmark_photo_id": ids[1], "key": theirs}).dropna().drop_duplicates("key")
    return left.merge(right, on="key")


def _by_id(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    ids = ours.photos["photo_id"], theirs.photos["photo_id"]
    numbers = [name.str.extract(FLICKR, expand=False) for name in ids]
    return pd.concat([_same(*ids, ids), _same(*numbers, ids)], ignore_index=True)


def _by_photographer(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    return _same(ours.photos["author"], theirs.photos["author"], (ours.photos["photo_id"], theirs.photos["photo_id"]))


def _by_place_and_time(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    """Within some ten metres and in the same second; photos without a date are compared by the other reasons alone."""
    keys = [_moment(collection.photos) for collection in (ours, theirs)]
    return _same(*keys, (ours.photos["photo_id"], theirs.photos["photo_id"]))


def _moment(photos: pd.DataFrame) -> pd.Series:
    place = (photos["latitude"].round(4) + 0.0).astype(str) + "," + (photos["longitude"].round(4) + 0.0).astype(str)
    moment = photos["captured_at"].dt.floor("s")
    return (place + "," + moment.astype(str)).where(moment.notna())


def _by_picture(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    first, second = near_pairs(ours.hashes, theirs.hashes, bits)
    return pd.DataFrame(
        {"photo_id": ours.hashed.iloc[first].to_numpy(), "benchmark_photo_id": theirs.hashed.iloc[second].to_numpy()}
    )


_FINDERS = {
    "id": _by_id,
    "photographer": _by_photographer,
    "place_and_time": _by_place_and_time,
    "near_duplicate": _by_picture,
}
