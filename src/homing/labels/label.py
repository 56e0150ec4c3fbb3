"""The table of labels: look-ups along a space-filling curve, joined with names, in the order of the photos."""

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
from homing.labels.cache import as_arrow, measure_with_cache, write_cache
from homing.labels.curve import curve_order
from homing.labels.measure import Lookup
from homing.labels.rasters import LABELS, RasterLookup, Rules, raster_path
from homing.tasks import TASKS

Files = Mapping[str, Sequence[str]]


def lookups_of(grid: str | Path, rasters: Files, settings: Mapping[str, Any]) -> list[Lookup]:
    """Return the look-ups of the section `labels` of the configuration; stacks take longest and come first."""
    stacks = [raster_lookup(name, rasters[name], settings[name]) for name in LABELS]
    stacks.sort(key=lambda lookup: -len(lookup.layers))
    return [*stacks, AreaLookup(str(grid), settings["boundaries"]["nearest_km"])]


def raster_lookup(name: str, files: Sequence[str], settings: Mapping[str, Any]) -> RasterLookup:
    """Return the look-up of one raster label. A `member` with {month} makes a stack of twelve layers."""
    member = settings.get("member")
    members = [member.format(month=month) for month in range(1, 13)] if member and "{month" in member else [member]
    counts = settings.get("unit") == "count"
    rules = Rules(
        nearest_km=settings.get("nearest_km", 0),
        minimum=1 if TASKS[name].kind == "class" else settings.get("minimum", 0 if counts else None),
        maximum=TASKS[name].classes if TASKS[name].kind == "class" else None,
        counts=counts,
    )
    return RasterLookup(name, tuple(map(str, files)), tuple(raster_path(files, one) for one in members), rules)


def label_tile(
    photos: str | Path,
    lookups: Sequence[Lookup],
    output: str | Path,
    cache: str | Path,
    tile: int,
    tiles: int,
    **resources: int,
) -> None:
    """Look up one of `tiles` equal slices of the curve and write it for `label_photos`; cache: as there."""
    latitude, longitude, _ = _points_on_curve(photos)
    part = slice(len(latitude) * tile // tiles, len(latitude) * (tile + 1) // tiles)
    columns = measure_with_cache(latitude[part], longitude[part], lookups, [Path(cache)], **resources)
    write_cache(output, latitude[part], longitude[part], columns, lookups)


def label_photos(
    photos: str | Path,
    areas: str | Path,
    lookups: Sequence[Lookup],
    driving_side: str | Path,
    output: str | Path,
    agreement_csv: str | Path,
    cache: str | Path,
    tiles: Sequence[str | Path] = (),
    **resources: int,
) -> None:
    """Write the `labels` table of a photo table, in its order, and its agreement with the collection (`agreement`).

    cache: table of earlier look-ups, replaced by the new ones; next time only new photos and changed sources are looked
    up. tiles: tables of `label_tile`, used instead of the cache. resources: `workers` and `memory_mb` of `measure`.
    """
    latitude, longitude, order = _points_on_curve(photos)
    columns = measure_with_cache(latitude, longitude, lookups, [Path(path) for path in tiles or [cache]], **resources)
    write_cache(cache, latitude, longitude, columns, lookups)
    for name, values in columns.items():
        columns[name] = np.empty_like(values)
        columns[name][order] = values
    _write_labels(photos, areas, driving_side, columns, output)
    with atomic_path(agreement_csv) as partial:
        agreement.compare(photos, output, agreement.read_country_codes(driving_side)).to_csv(partial, index=False)


def _points_on_curve(photos: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitude and longitude of all photos in the order of the curve, and the row of each in the table."""
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
    with tables.writer(output, "labels") as writer:
        for batch in pq.ParquetFile(photos).iter_batches(tables.CHUNK_ROWS, columns=["photo_id", "captured_at"]):
            piece = {name: as_arrow(values[start : start + len(batch)]) for name, values in columns.items()}
            named = names.take(piece.pop("area_number"))
            month = pc.month(batch["captured_at"])
            piece |= {"photo_id": batch["photo_id"], "month": month}
            writer.add(pa.table(piece | dict(zip(named.column_names, named.columns, strict=True))))
            start += len(batch)


def read_driving_sides(path: str | Path) -> dict[str, bool]:
    """Read whether traffic keeps left, by ISO 3166-1 alpha-3 or GADM code ("NA" is Namibia, not missing)."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {row["iso_a3"]: row["side"] == "left" for row in csv.DictReader(file) if row["iso_a3"] and row["side"]}
