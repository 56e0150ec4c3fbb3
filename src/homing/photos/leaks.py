"""Find leaks: photos of a run that its benchmarks have too, by id, photographer, place and time, or near-duplicates."""

import logging
from collections.abc import Callable, Mapping
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
LEAK_COLUMNS = tables.SCHEMAS["leaks"].names

Paths = tuple[str | Path, str | Path]  # of the tables `photos` and `index` of a data set


def find_leaks(own: Paths, benchmarks: Mapping[str, Paths], settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table `leaks` of a run's photos and its benchmarks', all given by their paths.

    For each reason and benchmark it names every matched photo of either side at least once, not every pair. settings:
    `by` (the reasons to look for) and `near_duplicate_bits`.
    """
    ours, found = _Collection(own), []
    for benchmark, paths in benchmarks.items():
        theirs = _Collection(paths)
        for reason in settings["by"]:
            pairs = _FINDERS[reason](ours, theirs, settings["near_duplicate_bits"])
            pairs = _cover_photos(pairs).assign(reason=reason, benchmark=benchmark)
            log.info("%s: %d photos by %s", benchmark, pairs["photo_id"].nunique(), reason)
            found.append(pairs[LEAK_COLUMNS])
    leaks = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=LEAK_COLUMNS, dtype="str")
    return leaks.sort_values(["photo_id", "benchmark", "reason"], ignore_index=True)


def without_leaks(splits: pd.DataFrame, leaks: pd.DataFrame) -> pd.DataFrame:
    """Return the table `splits` with the training and validation photos that are leaks set to unused."""
    matched = splits["photo_id"].isin(leaks["photo_id"]) & splits["split"].isin(["train", "val"])
    log.info("%d training and validation photos are in a benchmark too and left out", matched.sum())
    return splits.assign(split=splits["split"].mask(matched, "unused"))


def summary(leaks: pd.DataFrame) -> dict[str, Any]:
    """Count the leaked photos of the run, in all and by benchmark and reason, and the benchmarks' matched photos."""
    own, theirs = (_counts(leaks, name) for name in ("photo_id", "benchmark_photo_id"))
    return {"photos": int(leaks["photo_id"].nunique()), "by_benchmark": own, "benchmark_photos": theirs}


def _counts(leaks: pd.DataFrame, name: str) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (benchmark, reason), count in leaks.groupby(["benchmark", "reason"])[name].nunique().items():
        counts.setdefault(benchmark, {})[reason] = int(count)
    return counts


def _cover_photos(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return a subset of the pairs that names every photo of either side."""
    first = pairs.drop_duplicates("photo_id")
    others = pairs[~pairs["benchmark_photo_id"].isin(first["benchmark_photo_id"])]
    return pd.concat([first, others.drop_duplicates("benchmark_photo_id")], ignore_index=True)


class _Collection:
    """The photos of a data set, and the perceptual hashes of its images."""

    def __init__(self, paths: Paths) -> None:
        self.photos = tables.read(paths[0], "photos", columns=COLUMNS)
        index = tables.read(paths[1], "index", columns=["photo_id", "perceptual_hash"]).dropna()
        self.hash_ids, self.hashes = index["photo_id"], index["perceptual_hash"].to_numpy(dtype=np.int64)

    @property
    def ids(self) -> pd.Series:
        """The photo_id of each photo."""
        return self.photos["photo_id"]


def _match_keys(ours: _Collection, our_keys: pd.Series, theirs: _Collection, their_keys: pd.Series) -> pd.DataFrame:
    """Pair photos whose keys are equal and not null, each with the first such photo of the other side."""
    left = pd.DataFrame({"photo_id": ours.ids, "key": our_keys}).dropna()
    right = pd.DataFrame({"benchmark_photo_id": theirs.ids, "key": their_keys}).dropna()
    pairs = left.merge(right.drop_duplicates("key"), on="key"), left.drop_duplicates("key").merge(right, on="key")
    return pd.concat(pairs, ignore_index=True)


def _by_id(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    """By equal ids, and by equal Flickr numbers within the ids."""
    our_numbers, their_numbers = (side.ids.str.extract(FLICKR, expand=False) for side in (ours, theirs))
    equal = _match_keys(ours, ours.ids, theirs, theirs.ids)
    return pd.concat([equal, _match_keys(ours, our_numbers, theirs, their_numbers)], ignore_index=True)


def _by_photographer(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    return _match_keys(ours, ours.photos["author"], theirs, theirs.photos["author"])


def _by_place_and_time(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    """By coordinates equal to four decimals, about ten metres, in the same second; not for photos without a date."""
    return _match_keys(ours, _place_and_time(ours.photos), theirs, _place_and_time(theirs.photos))


def _place_and_time(photos: pd.DataFrame) -> pd.Series:
    """Return latitude, longitude and second as text, null without a date; + 0.0 makes -0.0 equal to 0.0."""
    place = (photos["latitude"].round(4) + 0.0).astype(str) + "," + (photos["longitude"].round(4) + 0.0).astype(str)
    second = photos["captured_at"].dt.floor("s")
    return (place + "," + second.astype(str)).where(second.notna())


def _by_near_duplicate(ours: _Collection, theirs: _Collection, bits: int) -> pd.DataFrame:
    first, second = near_pairs(ours.hashes, theirs.hashes, bits)
    pairs = {"photo_id": ours.hash_ids.iloc[first], "benchmark_photo_id": theirs.hash_ids.iloc[second]}
    return pd.DataFrame({name: ids.to_numpy() for name, ids in pairs.items()})


_FINDERS: dict[str, Callable[[_Collection, _Collection, int], pd.DataFrame]] = {
    "id": _by_id,
    "photographer": _by_photographer,
    "place_and_time": _by_place_and_time,
    "near_duplicate": _by_near_duplicate,
}
