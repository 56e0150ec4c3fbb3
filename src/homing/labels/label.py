"""All labels of a photo table: looked up along a space-filling curve, then named, and written in the photos' order."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from homing import tables
from homing.files import atomic_path
from homing.labels import agreement
from homing.labels.areas import AreaLookup
from homing.labels.boundaries import NAMES
from homing.labels.cache import as_arrow, measure_unknown, write_known
from homing.labels.curve import curve_order
from homing.labels.measure import Lookup
from homing.labels.rasters import LABELS, RasterLookup, Rules, raster_path

Files = Mapping[str, Sequence[str]]


def lookups_of(grid: str | Path, rasters: Files, settings: Mapping[str, Any]) -> list[Lookup]:
    """The look-ups that the section `labels` of the configuration asks for; stacks, which take longest, come first."""
    found: list[Lookup] = [raster_lookup(name, rasters[name], settings[name]) for name in LABELS]
    found.append(AreaLookup(str(grid), settings["boundaries"]["nearest_km"]))
    return sorted(found, key=lambda lookup: -len(getattr(lookup, "layers", "")))


def raster_lookup(name: str, files: Sequence[str], settings: Mapping[str, Any]) -> RasterLookup:
    """The look-up of one raster label. A `member` with {month} is a stack of twelve layers."""
    member = settings.get("member")
    members = [member.format(month=month) for month in range(1, 13)] if member and "{month" in member else [member]
    counts = settings.get("unit") == "count"
    rules = Rules(
        nearest_km=settings.get("nearest_km", 0),
        minimum=1 if name == "climate" else settings.get("minimum", 0 if counts else None),
        maximum=30 if name == "climate" else None,
        counts=counts,
    )
    return RasterLookup(name, tuple(map(str, files)), tuple(raster_path(files, one) for one in members), rules)


def label_tile(
    photos: str | Path,
    lookups: Sequence[Lookup],
    output: str | Path,
    known: str | Path,
    tile: int,
    tiles: int,
    **resources: int,
) -> None:
    """Look up one of several stretches of the curve, for `label_photos` to take as known."""
    latitude, longitude, _ = _on_curve(photos)
    part = slice(len(latitude) * tile // tiles, len(latitude) * (tile + 1) // tiles)
    columns = measure_unknown(latitude[part], longitude[part], lookups, [Path(known)], **resources)
    write_known(output, latitude[part], longitude[part], columns, lookups)


def label_photos(
    photos: str | Path,
    areas: str | Path,
    lookups: Sequence[Lookup],
    driving_side: str | Path,
    output: str | Path,
    agreement_csv: str | Path,
    known: str | Path,
    tiles: Sequence[str | Path] = (),
    **resources: int,
) -> None:
    """Write the `labels` table of a photo table, in its order.

    `known` keeps what was looked up, so that further photos, or another edition of one raster, are all that is looked
    up the next time; `tiles` are parts that other jobs have done. `resources` are those of `measure`. Beside the
    labels, how often each agrees with what the collection says of its photos (see `agreement`).
    """
    latitude, longitude, order = _on_curve(photos)
    columns = measure_unknown(latitude, longitude, lookups, [Path(path) for path in tiles or [known]], **resources)
    write_known(known, latitude, longitude, columns, lookups)
    for name, values in columns.items():
        columns[name] = np.empty_like(values)
        columns[name][order] = values
    _write_labels(photos, areas, driving_side, columns, output)
    with atomic_path(agreement_csv) as partial:
        agreement.compare(photos, output, agreement.read_country_codes(driving_side)).to_csv(partial, index=False)


def _on_curve(photos: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude and longitude of all photos along the curve, and the row of each."""
    frame = tables.read(photos, "photos", columns=["latitude", "longitude"])
    latitude, longitude = frame["latitude"].to_numpy(), frame["longitude"].to_numpy()
    order = curve_order(latitude, longitude)
    return latitude[order], longitude[order], order


def _write_labels(
    photos: str | Path,
    areas: str | Path,
    driving_side: str | Path,
    columns: Mapping[str, np.ndarray],
    output: str | Path,
) -> None:
    names = pq.read_table(areas, columns=NAMES)
    sides = read_driving_sides(driving_side)
    left = pa.array([sides.get(country) for country in names["country"].to_pylist()], pa.bool_())
    names = names.append_column("drives_on_left", left).combine_chunks()
    start = 0
    with tables.writer(output, "labels") as out:
        for batch in pq.ParquetFile(photos).iter_batches(tables.CHUNK_ROWS, columns=["photo_id", "captured_at"]):
            piece = {name: as_arrow(values[start : start + len(batch)]) for name, values in columns.items()}
            named = names.take(piece.pop("area_number"))
            month = pc.month(batch["captured_at"])
            piece |= {"photo_id": batch["photo_id"], "month": month}
            out.add(pa.table(piece | dict(zip(named.column_names, named.columns, strict=True))))
            start += len(batch)


def read_driving_sides(path: str | Path) -> dict[str, bool]:
    """Whether people drive on the left, by ISO3 or GADM code ("NA" is Namibia, not missing)."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {row["iso_a3"]: row["side"] == "left" for row in csv.DictReader(file) if row["iso_a3"] and row["side"]}
