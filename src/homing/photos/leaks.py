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
    """The `leaks` table: each photo of `own` that matches a benchmark's and each that it matches, at least once per
    reason and benchmark.

    `settings` are the keys by (the reasons looked for) and near_duplicate_bits.
    """
    ours, found = _Collection(own), []
    for benchmark, collection in benchmarks.items():
        theirs = _Collection(collection)
        for reason in settings["by"]:
            pairs = _FINDERS[reason](ours, theirs, settings["near_duplicate_bits"])
            pairs = _each_once(pairs).assign(reason=reason, benchmark=benchmark)
            log.info("%s: %d photos by %s", benchmark, pairs["photo_id"].nunique(), reason)
            found.append(pairs[LEAK])
    leaks = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=LEAK, dtype="str")
    return leaks.sort_values(["photo_id", "benchmark", "reason"], ignore_index=True)


def without_leaks(splits: pd.DataFrame, leaks: pd.DataFrame) -> pd.DataFrame:
    """Splits whose training and validation photos have no match; the others are unused."""
    matched = splits["photo_id"].isin(leaks["photo_id"]) & splits["split"].isin(["train", "val"])
    log.info("%d training and validation photos left out: a benchmark has them too", matched.sum())
    return splits.assign(split=splits["split"].mask(matched, "unused"))


def summary(leaks: pd.DataFrame) -> dict[str, Any]:
    """Counts: photos of the run in all, and by benchmark and reason; the same of the benchmarks' own photos."""
    own, theirs = (_counts(leaks, name) for name in ("photo_id", "benchmark_photo_id"))
    return {"photos": int(leaks["photo_id"].nunique()), "by_benchmark": own, "benchmark_photos": theirs}


def _counts(leaks: pd.DataFrame, name: str) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (benchmark, reason), count in leaks.groupby(["benchmark", "reason"])[name].nunique().items():
        counts.setdefault(benchmark, {})[reason] = int(count)
    return counts


def _each_once(pairs: pd.DataFrame) -> pd.DataFrame:
    """Few pairs that name every photo of either side."""
    first = pairs.drop_duplicates("photo_id")
    others = pairs[~pairs["benchmark_photo_id"].isin(first["benchmark_photo_id"])]
    return pd.concat([first, others.drop_duplicates("benchmark_photo_id")], ignore_index=True)


class _Collection:
    """The photos and image hashes of a data set."""

    def __init__(self, paths: Collection) -> None:
        self.photos = tables.read(paths[0], "photos", columns=COLUMNS)
        index = tables.read(paths[1], "index", columns=["photo_id", "perceptual_hash"]).dropna()
        self.hashed, self.hashes = index["photo_id"], index["perceptual_hash"].to_numpy(dtype=np.int64)


def _same(ours: pd.Series, theirs: pd.Series, ids: Sequence[pd.Series]) -> pd.DataFrame:
    """Pairs of photos whose keys are equal and known: each with the first of the other side."""
    left = pd.DataFrame({"photo_id": ids[0], "key": ours}).dropna()
    right = pd.DataFrame({"benchmark_photo_id": ids[1], "key": theirs}).dropna()
    pairs = left.merge(right.drop_duplicates("key"), on="key"), left.drop_duplicates("key").merge(right, on="key")
    return pd.concat(pairs, ignore_index=True)


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
