"""The page on the labels of a data set: maps of the photos, coverage, distributions, and labels that look wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from homing import tables
from homing.captions.clues import KOPPEN_CLASSES, MONTHS
from homing.labels.agreement import PAIRS, read_country_codes
from homing.labels.grid import Grid
from homing.report.charts import bars, histogram
from homing.report.pictures import shaded_map
from homing.templates import environment

MAX_LISTED = 8  # photos of each problem
FAR_KM = 25
LOWEST_M = -440  # the shore of the Dead Sea, the lowest dry land
COVERAGE = {  # title -> column, column of the distance to the area or pixel that was used
    "Country": ("country", "admin_distance_km"),
    "Region": ("region", "admin_distance_km"),
    "Area": ("area", "admin_distance_km"),
    "Climate": ("climate", "climate_distance_km"),
    "Temperature": ("temperature_c", "temperature_distance_km"),
    "Precipitation": ("precipitation_mm", "precipitation_distance_km"),
    "Elevation": ("elevation_m", "elevation_distance_km"),
    "Population density": ("population_per_km2", "population_distance_km"),
    "Month": ("month", None),
    "Driving side": ("drives_on_left", None),
}
HISTOGRAMS = {  # column -> label of the axis, True for a logarithmic one
    "temperature_c": ("mean temperature, °C", False),
    "temperature_range_c": ("range of monthly temperatures, °C", False),
    "precipitation_mm": ("mean precipitation, mm a month", False),
    "precipitation_range_mm": ("range of monthly precipitation, mm", False),
    "elevation_m": ("elevation, m", False),
    "population_per_km2": ("people per km²", True),
}
DENSITY = ((1, "1"), (10, "10"), (100, "100"), (1_000, "1,000"), (10_000, "10,000"))
DISTANCES = ((0, "≤ 5 km"), (5, "≤ 25"), (25, "≤ 50"), (50, "farther"), (np.inf, "no area within reach"))


@dataclass(frozen=True)
class LabelFiles:
    """Paths of the files that the page is made of."""

    photos: str
    labels: str
    areas: str
    grid: str
    agreement: str
    driving_side: str


def render_labels(dataset: str, files: LabelFiles) -> str:
    """Return the HTML of the page."""
    photos = tables.read_arrow(files.photos, "photos", ["latitude", "longitude"])
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    grid = Grid.load(files.grid)
    countries = _codes(pq.read_table(files.areas, columns=["country"])["country"])
    distance_km = _numbers(files.labels, "admin_distance_km")
    outside = ~(distance_km == 0)  # NaN: no area within reach
    return (
        environment()
        .get_template("labels.html.j2")
        .render(
            dataset=dataset,
            photos=len(latitude),
            places=_places(files.labels),
            in_area=float(np.mean(distance_km == 0)) if len(distance_km) else None,
            density_map=shaded_map(grid, countries, latitude, longitude, None, [least for least, _ in DENSITY]),
            density=[text for _, text in DENSITY],
            distance_map=shaded_map(
                grid, countries, latitude[outside], longitude[outside],
                np.nan_to_num(distance_km[outside], nan=np.inf),
                [least for least, _ in DISTANCES],
            ),
            distances=[text for _, text in DISTANCES],
            coverage=[coverage_of(files.labels, title) for title in COVERAGE],
            charts=list(charts_of(files.labels)),
            agreement=pd.read_csv(files.agreement, keep_default_na=False).to_dict("records"),
            suspicious=list(suspicious(files, latitude, longitude)),
        )
    )  # fmt: skip


def _codes(names: pa.ChunkedArray) -> np.ndarray:
    return names.combine_chunks().dictionary_encode().indices.to_numpy()


def _numbers(labels: str, column: str) -> np.ndarray:
    return tables.read_arrow(labels, "labels", [column])[column].cast(pa.float64()).to_numpy()


def _places(labels: str) -> dict[str, int]:
    found = tables.read_arrow(labels, "labels", ["country", "region_id", "area_id"])
    return {name: pc.count_distinct(found[name]).as_py() for name in found.column_names}


def coverage_of(labels: str, title: str) -> dict[str, Any]:
    """Return a row of the coverage table: photos with the label, the share that took it from elsewhere, and how far."""
    column, distance = COVERAGE[title]
    values = tables.read_arrow(labels, "labels", [column])[column]
    present = values.is_valid().to_numpy()
    row = {
        "title": title,
        "present": int(present.sum()),
        "missing": 1 - float(present.mean()) if len(present) else None,
    }
    if distance is None:
        return row | {"nearest": None, "median": None, "farthest": None}
    distance_km = _numbers(labels, distance)[present]
    moved = distance_km[distance_km > 0]
    return row | {
        "nearest": len(moved) / len(distance_km) if len(distance_km) else None,
        "median": float(np.median(moved)) if len(moved) else None,
        "farthest": float(moved.max()) if len(moved) else None,
    }


def charts_of(labels: str) -> Iterator[tuple[str, str]]:
    """Yield a chart and its title for each label that any photo has."""
    countries = tables.read_arrow(labels, "labels", ["country_name"])["country_name"].drop_null().value_counts()
    if len(countries):
        counted = sorted(((row["values"], row["counts"]) for row in countries.to_pylist()), key=lambda row: -row[1])
        yield bars(counted[:20][::-1], "photos", across=True), f"The {min(20, len(counted))} countries with most photos"
    legend = pd.read_csv(KOPPEN_CLASSES).set_index("raster_value")["code"]
    for column, names, title in (
        ("climate", legend.to_dict(), "Climate, Köppen-Geiger classes"),
        ("month", {number: name[:3] for number, name in enumerate(MONTHS, 1)}, "Month"),
    ):
        values = _numbers(labels, column)
        values = values[~np.isnan(values)]
        if len(values):
            yield bars([(name, int((values == number).sum())) for number, name in names.items()], "photos"), title
    for column, (title, log) in HISTOGRAMS.items():
        values = _numbers(labels, column)
        values = values[~np.isnan(values)]
        if len(values):
            yield histogram(values, title, log), title[0].upper() + title[1:]


def suspicious(files: LabelFiles, latitude: np.ndarray, longitude: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield the photos that look wrong by kind of problem: their number and the first of them."""
    distance_km, height_m = _numbers(files.labels, "admin_distance_km"), _numbers(files.labels, "elevation_m")
    missing, far = np.flatnonzero(np.isnan(distance_km)), np.flatnonzero(distance_km > FAR_KM)
    yield _listed(files, "no area within reach: in the sea?", missing, latitude, longitude)
    far = far[np.argsort(-distance_km[far], kind="stable")]
    far_words = f"more than {FAR_KM} km from the nearest area"
    yield _listed(files, far_words, far, latitude, longitude, distance_km, "{:.0f} km")
    low = np.flatnonzero(height_m < LOWEST_M)
    yield _listed(files, "lower than any dry land", low, latitude, longitude, height_m, "{:.0f} m")
    codes = read_country_codes(files.driving_side)
    for given_name, name in PAIRS.items():
        given = tables.read_arrow(files.photos, "photos", [given_name])[given_name]
        if given.null_count == len(given):
            continue
        theirs = given.to_pandas()
        if name == "country":
            theirs = theirs.str.upper().map(lambda code: codes.get(code, code), na_action="ignore")
        ours = tables.read_arrow(files.labels, "labels", [name])[name].to_pandas()
        other = np.flatnonzero((theirs.notna() & ours.notna() & (theirs != ours)).to_numpy())
        words = {"country": "country", "climate": "climate class", "drives_on_left": "driving side"}[name]
        values = {
            row: f"{_in_words(name, theirs[row])}, ours {_in_words(name, ours[row])}" for row in other[:MAX_LISTED]
        }
        yield _listed(files, f"another {words} than the collection says", other, latitude, longitude, values, "{}")


def _in_words(name: str, value: Any) -> str:
    if name == "drives_on_left":
        return "left" if value else "right"
    return str(int(value)) if name == "climate" else str(value)


def _listed(
    files: LabelFiles,
    what: str,
    rows: np.ndarray,
    latitude: np.ndarray,
    longitude: np.ndarray,
    values: Mapping[int, Any] | np.ndarray | None = None,
    form: str = "",
) -> dict[str, Any]:
    first = rows[:MAX_LISTED]
    ids = tables.read_arrow(files.photos, "photos", ["photo_id"])["photo_id"].take(pa.array(first)).to_pylist()
    photos = [
        {
            "photo_id": photo_id,
            "place": f"{latitude[row]:.4f}, {longitude[row]:.4f}",
            "what": form.format(values[row]) if values is not None else "",
        }
        for photo_id, row in zip(ids, first, strict=True)
    ]
    return {"what": what, "count": len(rows), "photos": photos}
