"""The files `homing predict` writes, by their suffix."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from homing.errors import HomingError
from homing.files import atomic_path, read_json
from homing.photos.images import decode_image

Answers = Mapping[Path, pd.DataFrame]
THUMBNAIL = 320  # pixels


def writer_for(path: Path, model: Path) -> Callable[[Answers], None]:
    """The function that writes answers to `path`. Raises HomingError for a suffix that is not known."""
    writers = {".csv": write_csv, ".parquet": write_parquet, ".geojson": write_geojson, ".json": write_geojson}
    if path.suffix.lower() in writers:
        return lambda answers: writers[path.suffix.lower()](path, answers)
    if path.suffix.lower() == ".html":
        return lambda answers: write_html(path, answers, model)
    raise HomingError(f"--output {path}: end it with .csv, .parquet, .geojson or .html")


def place_name(answer: pd.Series) -> str:
    """Area, region and country, as far as they are told and differ."""
    parts = [answer.get("name"), answer.get("region"), answer.get("country_name")]
    return ", ".join(dict.fromkeys(part for part in parts if isinstance(part, str) and part))


def as_table(answers: Answers) -> pd.DataFrame:
    """One row per photo and answer."""
    frames = [frame.assign(photo=str(path), rank=range(len(frame))) for path, frame in answers.items()]
    table = pd.concat(frames, ignore_index=True)
    first = ["photo", "rank", "latitude", "longitude", "probability"]
    return table[first + [name for name in table.columns if name not in first]]


def write_csv(path: Path, answers: Answers) -> None:
    """A CSV that spreadsheets and GIS read."""
    with atomic_path(path) as partial:
        as_table(answers).to_csv(partial, index=False, float_format="%.6g")


def write_parquet(path: Path, answers: Answers) -> None:
    """The same as Parquet."""
    with atomic_path(path) as partial:
        as_table(answers).to_parquet(partial, index=False)


def write_geojson(path: Path, answers: Answers) -> None:
    """One point per photo and answer."""
    features = []
    for row in as_table(answers).astype(object).to_dict("records"):
        properties = {name: None if pd.isna(value) else value for name, value in row.items()}
        point = [properties.pop("longitude"), properties.pop("latitude")]
        features.append(
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": point}, "properties": properties}
        )
    content = {"type": "FeatureCollection", "features": features}
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, default=_plain), encoding="utf-8")


def _plain(value):
    return value.item()


def write_html(path: Path, answers: Answers, model: Path) -> None:
    """A page with each photo, its answers and a map, in one file that opens without a network."""
    from homing.report.maps import Map, outlines_of
    from homing.report.page import environment

    cells = outlines_of(read_json(model / "cells.geojson"))
    photos = []
    for photo, frame in answers.items():
        world = Map()
        world.land(cells)
        for _, answer in reversed(list(frame.iterrows())):
            label = f"{answer['probability']:.0%} {place_name(answer)}"
            world.point(answer["latitude"], answer["longitude"], 2 + 7 * answer["probability"] ** 0.5, "guess", label)
        listed = [dict(row, place=place_name(row)) for _, row in frame.iterrows()]
        photos.append(
            {
                "name": photo.name,
                "image": thumbnail(photo),
                "answers": listed,
                "map": world.svg(f"Where {photo.name} may be"),
            }
        )
    page = environment().get_template("predictions.html.j2").render(photos=photos)
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def thumbnail(path: Path) -> str:
    """The photo as a small JPEG in a data URI, without any metadata."""
    from homing.report.page import data_uri

    return data_uri(decode_image(path.read_bytes()), THUMBNAIL)
