"""Validate rows of text: they become typed photos, or rejects with a reason; by column, a batch at a time."""

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from homing import tables
from homing.errors import HomingError
from homing.text_tables import Batch

SWAPPED = "latitude and longitude look swapped"
MAX_SWAPPED_SHARE = 0.2  # a few rows may be wrong; more are a wrong choice of columns
MAX_ID_BYTES = 200
TRUE, FALSE = ("1", "1.0", "true", "left"), ("0", "0.0", "false", "right")
TEXT_COLUMNS = ("author", "split", "licence", "source_url", "given_country")


class Rejects:
    """The `rejected` table while it is written, with the number of rows of each kind of reason."""

    def __init__(self, out: tables.Writer) -> None:
        self.out = out
        self.kinds: Counter[str] = Counter()
        self.swapped = 0

    def add(self, frame: pd.DataFrame) -> None:
        """Write rows with the columns row, reason, photo_id and content."""
        if len(frame):
            self.out.add(frame)
            self.kinds.update(frame["reason"].map(kind_of))
            self.swapped += int(frame["reason"].str.contains(SWAPPED, regex=False).sum())

    def check_swapped(self, valid: int) -> None:
        """Raise HomingError if too many of all rows look swapped, `valid` of which are not rejected."""
        if self.swapped > MAX_SWAPPED_SHARE * (valid + self.kinds.total()):
            raise HomingError(f"{self.swapped} rows: {SWAPPED}; name the right columns in the data set's `columns`")


def kind_of(reason: str) -> str:
    """Return a reason without the values of its row."""
    words = reason.split(";")[0].split()
    return " ".join(word for word in words if not any(letter.isdigit() or letter == "'" for letter in word))


def validate(batch: Batch) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the valid rows, typed, and the rejected rows with their reasons.

    Valid rows have the columns of `photos` (without views), `row`, and their image columns unchanged. Optional values
    that are not understood become null, except dates and headings: those reject the row.
    """
    cells, problems = batch.cells, _Problems(len(batch.cells))
    _check_ids(problems, cells["photo_id"])
    valid = pd.DataFrame({"row": batch.rows, "photo_id": cells["photo_id"].to_numpy()})
    valid["latitude"], valid["longitude"] = _coordinates(problems, cells)
    valid["captured_at"] = _times(problems, _column(cells, "captured_at"))
    valid["heading_deg"] = _numbers(problems, cells, "heading_deg", optional=True) % 360
    for name in TEXT_COLUMNS:
        text = _column(cells, name)
        valid[name] = text.where(text != "", None).to_numpy(dtype=object)
    climate = pd.to_numeric(_column(cells, "given_climate"), errors="coerce").to_numpy()
    valid["given_climate"] = pd.array(np.where((climate >= 1) & (climate <= 30), climate, np.nan)).astype("Int8")
    valid["given_drives_on_left"] = _booleans(_column(cells, "given_drives_on_left"))
    for name in cells:
        if name.startswith("image") or name == "view":
            valid[name] = cells[name].to_numpy()
    return valid[problems.none()], _rejected(batch, problems)


class _Problems:
    """The first problem found in each row of a batch."""

    def __init__(self, count: int) -> None:
        self.reasons: dict[int, str] = {}
        self.count = count

    def add(self, mask: np.ndarray, reason: Callable[[int], str]) -> None:
        """Note a problem in the rows of a mask, bool (n,); `reason` gives its text for the index of a row."""
        for item in np.flatnonzero(mask).tolist():
            self.reasons.setdefault(item, reason(item))

    def none(self) -> np.ndarray:
        """Return a mask of the rows without a problem, bool (n,)."""
        mask = np.ones(self.count, dtype=bool)
        mask[list(self.reasons)] = False
        return mask


def _column(cells: pd.DataFrame, name: str) -> pd.Series:
    return cells[name] if name in cells else pd.Series("", index=cells.index, dtype="str")


def _check_ids(problems: _Problems, ids: pd.Series) -> None:
    problems.add((ids == "").to_numpy(), lambda i: "empty photo_id")
    long = ids.str.len() * 4 > MAX_ID_BYTES  # UTF-8 has up to four bytes a character; counting them all is slow
    problems.add(
        (long & (ids.str.encode("utf-8").str.len() > MAX_ID_BYTES) if long.any() else long).to_numpy(),
        lambda i: f"photo_id longer than {MAX_ID_BYTES} bytes",
    )
    problems.add(ids.str.contains(r"[\x00-\x1f]").to_numpy(), lambda i: "control characters in photo_id")


def _coordinates(problems: _Problems, cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return latitude and longitude, float64 (n,), the longitude in -180..180 without 180."""
    latitude, longitude = _numbers(problems, cells, "latitude"), _numbers(problems, cells, "longitude")
    swapped = (np.abs(latitude) > 90) & (np.abs(latitude) <= 180) & (np.abs(longitude) <= 90)
    problems.add(swapped, lambda i: f"latitude {latitude[i]:g} is outside -90..90; {SWAPPED}")
    problems.add(np.abs(latitude) > 90, lambda i: f"latitude {latitude[i]:g} is outside -90..90")
    problems.add(np.abs(longitude) > 180, lambda i: f"longitude {longitude[i]:g} is outside -180..180")
    return latitude, np.where(longitude == 180, -180.0, longitude)


def _numbers(problems: _Problems, cells: pd.DataFrame, name: str, optional: bool = False) -> np.ndarray:
    """Parse a column, float64 (n,); NaN where it is empty, which is a problem unless `optional`, or not a number."""
    text = _column(cells, name).str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    empty = (text == "").to_numpy()
    if not optional:
        problems.add(empty, lambda i: f"empty {name}")
    bad = ~np.isfinite(values) & ~empty
    if bad.any():
        word = text.str.lower().str.lstrip("+-").isin(["nan", "inf", "infinity"]).to_numpy() | np.isinf(values)
        problems.add(bad & word, lambda i: f"{name} {text.iloc[i]!r} is not a finite number")
        problems.add(bad, lambda i: f"{name} {text.iloc[i]!r} is not a number")
    return values


def _times(problems: _Problems, text: pd.Series) -> np.ndarray:
    """Parse dates, or milliseconds since 1970 as in OSV-5M; datetime64[ms] (n,), NaT where empty.

    Times are converted to UTC if their zone is given, else kept as they are.
    """
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
        problems.add(bad, lambda i: f"captured_at {text[i]!r} is not a date")
    return found.to_numpy()


def _booleans(text: pd.Series) -> np.ndarray:
    """Return True, False or None for each cell, object (n,)."""
    values = np.full(len(text), None, dtype=object)
    values[text.str.lower().isin(TRUE).to_numpy()] = True
    values[text.str.lower().isin(FALSE).to_numpy()] = False
    return values


def _rejected(batch: Batch, problems: _Problems) -> pd.DataFrame:
    lines: list[tuple[int, str, str | None, str]] = [(row, reason, None, text) for row, reason, text in batch.invalid]
    for item in sorted(problems.reasons):
        cells = batch.cells.iloc[item].to_dict()
        content = json.dumps(cells, ensure_ascii=False)
        lines.append((int(batch.rows[item]), problems.reasons[item], cells["photo_id"] or None, content))
    return pd.DataFrame(lines, columns=tables.SCHEMAS["rejected"].names)
