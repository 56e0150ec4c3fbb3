"""Rows of text become typed photos, or rejects with their reason; column by column, a batch at a time."""

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from homing import tables
from homing.errors import HomingError
from homing.importing.tabular import Batch

SWAPPED = "latitude and longitude look swapped"
LONGEST_ID = 200  # bytes
TRUE, FALSE = ("1", "1.0", "true", "left"), ("0", "0.0", "false", "right")


class Rejects:
    """The table of rejected rows as it is written, and how many there are of each kind."""

    def __init__(self, out: tables.Writer) -> None:
        self.out, self.kinds, self.swapped = out, Counter(), 0

    def add(self, frame: pd.DataFrame) -> None:
        """Rows `row`, `reason`, `photo_id`, `content`."""
        if len(frame):
            self.out.add(frame)
            self.kinds.update(frame["reason"].map(kind_of))
            self.swapped += int(frame["reason"].str.contains(SWAPPED, regex=False).sum())

    def check_swapped(self, good: int) -> None:
        if self.swapped > 0.2 * (good + self.kinds.total()):
            raise HomingError(f"{self.swapped} rows: {SWAPPED}; name the right columns in the data set's `columns`")


def kind_of(reason: str) -> str:
    """A reason without the values of its row."""
    words = [w for w in reason.split(";")[0].split() if not any(letter.isdigit() or letter == "'" for letter in w)]
    return " ".join(words)


def judge(batch: Batch) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The good rows, typed, with `row` and their image columns as they were; and the rejected ones with reasons."""
    cells = batch.cells
    verdict = _Verdict(len(cells))
    good = pd.DataFrame({"row": batch.rows, "photo_id": cells["photo_id"].to_numpy()})
    _judge_ids(verdict, cells["photo_id"])
    latitude, longitude = _numbers(verdict, cells, "latitude"), _numbers(verdict, cells, "longitude")
    swapped = (np.abs(latitude) > 90) & (np.abs(latitude) <= 180) & (np.abs(longitude) <= 90)
    verdict.where(swapped, lambda i: f"latitude {latitude[i]:g} is outside -90..90; {SWAPPED}")
    verdict.where(np.abs(latitude) > 90, lambda i: f"latitude {latitude[i]:g} is outside -90..90")
    verdict.where(np.abs(longitude) > 180, lambda i: f"longitude {longitude[i]:g} is outside -180..180")
    good["latitude"], good["longitude"] = latitude, np.where(longitude == 180, -180.0, longitude)
    good["captured_at"] = _times(verdict, _column(cells, "captured_at"))
    good["heading_deg"] = _numbers(verdict, cells, "heading_deg", optional=True) % 360
    for name in ("author", "split", "licence", "source_url", "given_country"):
        text = _column(cells, name)
        good[name] = text.where(text != "", None).to_numpy(dtype=object)
    climate = pd.to_numeric(_column(cells, "given_climate"), errors="coerce").to_numpy()
    good["given_climate"] = pd.array(np.where((climate >= 1) & (climate <= 30), climate, np.nan)).astype("Int8")
    side = _column(cells, "given_drives_on_left").str.lower()
    good["given_drives_on_left"] = np.where(side.isin(TRUE), True, np.where(side.isin(FALSE), False, None))
    for name in cells:
        if name.startswith("image") or name == "view":
            good[name] = cells[name].to_numpy()
    return good[verdict.good()], _rejected(batch, verdict)


class _Verdict:
    """The first reason against each row."""

    def __init__(self, count: int) -> None:
        self.reasons: dict[int, str] = {}
        self.count = count

    def where(self, mask: np.ndarray, reason: Callable[[int], str]) -> None:
        for item in np.flatnonzero(mask):
            self.reasons.setdefault(int(item), reason(item))

    def good(self) -> np.ndarray:
        mask = np.ones(self.count, dtype=bool)
        mask[list(self.reasons)] = False
        return mask


def _column(cells: pd.DataFrame, name: str) -> pd.Series:
    return cells[name] if name in cells else pd.Series("", index=cells.index, dtype="str")


def _judge_ids(verdict: _Verdict, ids: pd.Series) -> None:
    verdict.where((ids == "").to_numpy(), lambda i: "empty photo_id")
    long = ids.str.len() * 4 > LONGEST_ID
    verdict.where(
        (long & (ids.str.encode("utf-8").str.len() > LONGEST_ID) if long.any() else long).to_numpy(),
        lambda i: f"photo_id longer than {LONGEST_ID} bytes",
    )
    verdict.where(ids.str.contains(r"[\x00-\x1f]").to_numpy(), lambda i: "control characters in photo_id")


def _numbers(verdict: _Verdict, cells: pd.DataFrame, name: str, optional: bool = False) -> np.ndarray:
    """float64, NaN where there is none."""
    text = _column(cells, name).str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    empty = (text == "").to_numpy()
    if not optional:
        verdict.where(empty, lambda i: f"empty {name}")
    bad = ~np.isfinite(values) & ~empty
    if bad.any():
        word = text.str.lower().str.lstrip("+-").isin(["nan", "inf", "infinity"]).to_numpy() | np.isinf(values)
        verdict.where(bad & word, lambda i: f"{name} {text.iloc[i]!r} is not a finite number")
        verdict.where(bad, lambda i: f"{name} {text.iloc[i]!r} is not a number")
    return values


def _times(verdict: _Verdict, text: pd.Series) -> np.ndarray:
    """datetime64[ms] in UTC where a zone is told: a date, or milliseconds since 1970 as in OSV-5M; NaT when empty."""
    text = text.reset_index(drop=True)
    found = pd.Series(np.datetime64("NaT", "ms"), index=text.index)
    epoch = text.str.fullmatch(r"\d{9,15}")
    found[epoch] = text[epoch].astype("int64").to_numpy().astype("datetime64[ms]")
    rest = text[~epoch & (text != "")]
    if len(rest):
        parsed = pd.to_datetime(rest, format="ISO8601", errors="coerce", utc=True)
        for item in rest.index[parsed.isna()]:
            parsed[item] = pd.to_datetime(rest[item], errors="coerce", utc=True)
        found[rest.index] = parsed.dt.tz_localize(None).dt.as_unit("ms")
        bad = np.zeros(len(text), dtype=bool)
        bad[rest.index[parsed.isna()]] = True
        verdict.where(bad, lambda i: f"captured_at {text[i]!r} is not a date")
    return found.to_numpy()


def _rejected(batch: Batch, verdict: _Verdict) -> pd.DataFrame:
    lines = [(row, reason, None, content) for row, reason, content in batch.broken]
    for item in sorted(verdict.reasons):
        cells = batch.cells.iloc[item].to_dict()
        content = json.dumps(cells, ensure_ascii=False)
        lines.append((int(batch.rows[item]), verdict.reasons[item], cells["photo_id"] or None, content))
    return pd.DataFrame(lines, columns=tables.SCHEMAS["rejected"].names)
