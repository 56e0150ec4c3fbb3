"""The output files of `homing predict`, by suffix; batches are appended, and a file appears when it is complete."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial as bind
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from homing.cli.inputs import Item
from homing.errors import HomingError
from homing.files import atomic_path, read_json
from homing.package.layout import Layout
from homing.photos.images import decode_image

THUMBNAIL = 320  # pixels
MAX_SECTIONS = 200  # photos with a picture and a map of their own on a page
MAX_DOTS = 5_000  # photos on the map of all photos
Write = Callable[[pd.DataFrame, Sequence[Item]], None]


def writer_for(path: Path) -> Callable[[Layout], AbstractContextManager[Write]]:
    """Return a function that opens `path` for the answers of a package. Raises HomingError for an unknown suffix."""
    writers = {
        ".csv": csv_writer, ".parquet": parquet_writer, ".geojson": geojson_writer, ".json": geojson_writer,
        ".html": html_writer,
    }  # fmt: skip
    if path.suffix.lower() not in writers:
        raise HomingError(f"--output {path}: must end with .csv, .parquet, .geojson or .html")
    return bind(writers[path.suffix.lower()], path)


def place_name(answer: Mapping[str, Any]) -> str:
    """Return area, region and country, as far as they are given and differ."""
    parts = [answer.get("name"), answer.get("region"), answer.get("country_name")]
    return ", ".join(dict.fromkeys(part for part in parts if isinstance(part, str) and part))


def area(square_km: float) -> str:
    """Format an area with three significant digits."""
    return f"{float(f'{square_km:.3g}'):,.0f} km²"


@contextmanager
def csv_writer(path: Path, _: Layout) -> Iterator[Write]:
    """Write a CSV with one row per photo and answer, for spreadsheets and GIS."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:

        def write(table: pd.DataFrame, _: Sequence[Item]) -> None:
            table.to_csv(file, index=False, header=file.tell() == 0, float_format="%.7g")

        yield write


@contextmanager
def parquet_writer(path: Path, _: Layout) -> Iterator[Write]:
    """Write the same rows as Parquet, a row group per batch."""
    writer: pq.ParquetWriter | None = None
    with atomic_path(path) as partial:

        def write(table: pd.DataFrame, _: Sequence[Item]) -> None:
            nonlocal writer
            rows = pa.Table.from_pandas(table, preserve_index=False)
            if writer is None:  # a column of names may be all null in the first batch, and is text all the same
                fields = [pa.field(f.name, pa.string() if _is_text(f.type) else f.type) for f in rows.schema]
                writer = pq.ParquetWriter(partial, pa.schema(fields), compression="zstd")
            writer.write_table(rows.cast(writer.schema))

        yield write
        if writer is not None:
            writer.close()


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


@contextmanager
def geojson_writer(path: Path, _: Layout) -> Iterator[Write]:
    """Write GeoJSON with one point per photo and answer, a line each."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        separator = "\n"

        def write(table: pd.DataFrame, _: Sequence[Item]) -> None:
            nonlocal separator
            for row in table.astype(object).to_dict("records"):
                properties = {name: None if pd.isna(value) else _plain(value) for name, value in row.items()}
                point = [properties.pop("longitude"), properties.pop("latitude")]
                feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": point}}
                file.write(separator + json.dumps(feature | {"properties": properties}, ensure_ascii=False))
                separator = ",\n"

        yield write
        file.write("\n]}\n")


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def html_writer(path: Path, layout: Layout) -> Iterator[Write]:
    """Write an HTML page that needs no network: the first photos with answers and maps, and a map of all photos."""
    from homing.report.maps import Map, outlines_of
    from homing.templates import environment

    land, every = Map(), Map()
    land.land(outlines_of(read_json(layout.own / "cells.geojson")))
    every.layers = ['<use href="#land"/>']
    photos: list[dict[str, Any]] = []
    total = 0

    def write(table: pd.DataFrame, items: Sequence[Item]) -> None:
        nonlocal total
        for item, (_, answers) in zip(items, table.groupby((table["rank"] == 0).cumsum()), strict=True):
            total += 1
            if total <= MAX_DOTS:
                first = answers.iloc[0]
                every.point(first["latitude"], first["longitude"], 9, "guess", f"{item.files[0].name}: {_label(first)}")
            if total <= MAX_SECTIONS:
                photos.append(_section(item, answers))

    with atomic_path(path) as partial:
        yield write
        template = environment().get_template("predictions.html.j2")
        overview = every.svg("Map of the first answers to all photos")
        page = template.render(photos=photos, total=total, dots=MAX_DOTS, land="".join(land.layers), every=overview)
        partial.write_text(page, encoding="utf-8")


def _section(item: Item, answers: pd.DataFrame) -> dict[str, Any]:
    """Return a photo, its answers and their map, as the page shows them."""
    from homing.report.maps import Map

    world = Map()
    world.layers = ['<use href="#land"/>']
    for _, answer in reversed(list(answers.iterrows())):
        radius = 9 + 12 * answer["probability"] ** 0.5
        kind = "guess" if answer["rank"] == 0 else "guess rest"
        world.point(answer["latitude"], answer["longitude"], radius, kind, _label(answer))
    name = item.files[0].name
    return {
        "name": name,
        "image": thumbnail(item.files[0]),
        "first": answers.iloc[0].to_dict(),
        "half": area(answers["area_50_km2"].iloc[0]),
        "most": area(answers["area_90_km2"].iloc[0]),
        "answers": [dict(row, place=place_name(row)) for row in answers.to_dict("records")],
        "map": world.svg(f"Map of the answers to {name}"),
    }


def _label(answer: Mapping[str, Any]) -> str:
    return f"{answer['probability']:.0%} {place_name(answer)}"


def thumbnail(path: Path) -> str:
    """Return the photo as a small JPEG in a data URI, without metadata."""
    from homing.photos.images import data_uri

    return data_uri(decode_image(path.read_bytes()), THUMBNAIL)
