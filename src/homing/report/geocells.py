"""The section on semantic geocells, in the report of a run and on a page of its own: maps, zooms, sizes, figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.geocells.compare import FIGURES, Figure
from homing.geocells.export import simplified_outlines
from homing.geocells.geometry.land import surface
from homing.report.charts import histogram
from homing.report.maps import NORTH, SOUTH, WORLD, Map, Outline, Window
from homing.report.page import environment, km
from homing.sphere import KM_PER_DEGREE

LISTED = 20  # exceptions
NAMED = 10_000  # cells; where there are more, a world map is too coarse to point at one, and names would fill the page
SHADES = 5
ERRORS_KM = {25: "≤ 25 km", 75: "≤ 75", 200: "≤ 200", 750: "≤ 750", np.inf: "farther"}
ZOOMS, LEAST_CELLS = 3, 3  # windows, and the centroids that make one worth while
ZOOM_KM, ZOOM_RADII = (900, 3000), 6  # least and greatest height, and in radii of the median cell
ZOOM_SHAPE, ZOOM_PIXELS = 1.5, 500  # width by height; width
SPECK = 0.5  # square pixels: islands smaller than that are not drawn
SPLITS = ("test", "val", "train")
ANSWERS = {"centroid": "centroid", "nearest": "best training photo of the cell"}


@dataclass(frozen=True)
class Cells:
    """What the section is made of."""

    table: gpd.GeoDataFrame  # geocells.parquet
    oracle_km: np.ndarray  # (C,) error of each cell, NaN without photos
    quality: Mapping[str, Any]
    partitions: Sequence[Mapping[str, Any]]  # rows of comparison.json


@dataclass(frozen=True)
class Region:
    """A window on many cells."""

    window: Window
    name: str
    cells: int


def render_geocells(run: str, dataset: str, cells: Cells) -> str:
    """The HTML of the page of its own."""
    template = environment().get_template("geocells.html.j2")
    return template.render(run=run, dataset=dataset, folder="", cells=section(cells, drawn(cells.table, WORLD)))


def section(cells: Cells, world: Sequence[Outline]) -> dict[str, Any]:
    """What the template geocells_section.html.j2 is filled with; world: the cells as a world map shows them."""
    photos, quality = cells.table["photos"].to_numpy(), cells.quality
    titles = titles_of(cells)
    shown = titles if len(titles) <= NAMED else [""] * len(titles)
    by_photos, photo_legend = photo_shades(photos)
    by_error, error_legend = error_shades(cells.oracle_km)
    limits = {name: quality["settings"].get(key) for name, key in (("min", "min_photos"), ("max", "max_photos"))}
    limits = {name: limit for name, limit in limits.items() if limit}
    height_km = zoom_height_km(cells.table)
    return {
        "quality": quality,
        "photos_map": shaded(world, shown, by_photos, "World map of the geocells, shaded by their photos"),
        "photos_legend": photo_legend,
        "errors_map": shaded(world, shown, by_error, "World map of the geocells, coloured by their oracle error"),
        "errors_legend": error_legend,
        "zooms": [
            (region, zoomed(cells.table, region, titles, by_photos)) for region in densest(cells.table, height_km)
        ],
        "zoom_km": (ZOOM_SHAPE * height_km, height_km),
        "sizes": histogram(photos, "photos in a cell", log=True, counted="cells", marks=limits),
        "limits": limits,
        "splits": [split for split in SPLITS if f"oracle.{split}.photos" in quality],
        "answers": ANSWERS,
        "exceptions": exceptions_of(cells.table, quality["exceptions"]),
        "partitions": cells.partitions,
        "parts": parts_of_table(),
    }


def parts_of_table() -> dict[str, dict[str, Figure]]:
    """The columns of the table side by side, which is too wide for a page, by part."""
    parts: dict[str, dict[str, Figure]] = {}
    for key, figure in FIGURES.items():
        parts.setdefault(figure.part, {})[key] = figure
    return parts


def titles_of(cells: Cells) -> list[str]:
    """What is told of each cell when it is pointed at."""
    told = zip(cells.table.itertuples(), cells.oracle_km.tolist(), strict=True)
    return [
        f"{cell.name}, {cell.country_name}: {cell.photos:,} photos" + ("" if np.isnan(away) else f", {km(away)} off")
        for cell, away in told
    ]


def photo_shades(photos: np.ndarray) -> tuple[list[str], list[tuple[str, str]]]:
    """The class of each cell, darker with more photos, and what the classes mean: fifths of the cells, about."""
    starts = np.unique(np.quantile(photos, np.arange(SHADES) / SHADES, method="lower"))
    shade = np.searchsorted(starts, photos, side="right") - 1
    ends = [int(photos[shade == number].max()) for number in range(len(starts))]
    words = [f"{start:,.0f} – {end:,}" if start < end else f"{end:,}" for start, end in zip(starts, ends, strict=True)]
    return [f"shade-{number}" for number in shade], [(f"shade-{number}", text) for number, text in enumerate(words)]


def error_shades(oracle_km: np.ndarray) -> tuple[list[str], list[tuple[str, str]]]:
    """The same for the oracle error."""
    level = np.searchsorted(list(ERRORS_KM), np.nan_to_num(oracle_km))
    empty = np.isnan(oracle_km)
    kinds = ["unknown" if nothing else f"scale-{number}" for number, nothing in zip(level.tolist(), empty, strict=True)]
    legend = [(f"scale-{number}", text) for number, text in enumerate(ERRORS_KM.values())]
    return kinds, legend + ([("unknown", "no photo of the run")] if empty.any() else [])


def drawn(cells: gpd.GeoDataFrame, window: Window) -> list[Outline]:
    """The outline of each cell, as fine as the pixels of the map show."""
    simple = simplified_outlines(cells, 1 / window.pixels_per_degree).geometry.to_numpy()
    parts, cell = shapely.get_parts(simple, return_index=True)
    size = shapely.area(parts)
    largest = np.zeros(len(cells))
    np.maximum.at(largest, cell, size)
    kept = (size * window.pixels_per_degree**2 >= SPECK) | (size == largest[cell])
    rings: list[list[tuple[tuple[float, float], ...]]] = [[] for _ in range(len(cells))]
    for part, number in zip(parts[kept], cell[kept].tolist(), strict=True):
        rings[number] += [tuple(ring.coords) for ring in (part.exterior, *part.interiors)]
    return [Outline(tuple(found)) for found in rings]


def shaded(
    shapes: Sequence[Outline], titles: Sequence[str], kinds: Sequence[str], label: str, window: Window = WORLD
) -> str:
    """A map of the cells."""
    drawing = Map(window)
    told = zip(shapes, titles, kinds, strict=True)
    drawing.land(replace(shape, title=title, kind=kind) for shape, title, kind in told)
    return drawing.svg(label)


def zoom_height_km(cells: gpd.GeoDataFrame) -> float:
    """How much the zooms show: many cells, and neither a village nor the world."""
    return float(np.clip(round(ZOOM_RADII * cells["radius_km"].median(), -2), *ZOOM_KM))


def densest(cells: gpd.GeoDataFrame, height_km: float) -> list[Region]:
    """The windows of that height, each around a centroid, that hold most centroids and do not overlap."""
    latitude, longitude = cells["latitude"].to_numpy(), cells["longitude"].to_numpy()
    west, south, east, north = _windows(latitude, longitude, height_km)
    held = _held(latitude, longitude, west, south, east, north)
    found = []
    while len(found) < ZOOMS and held.max() >= LEAST_CELLS:
        best = int(held.argmax())
        sides = (float(side[best]) for side in (west, south, east, north))
        window = Window(*sides, true_latitude=float(south[best] + north[best]) / 2, width=ZOOM_PIXELS)
        within = (longitude >= window.west) & (longitude <= window.east)
        within &= (latitude >= window.south) & (latitude <= window.north)
        found.append(Region(window, name_of(cells[within]), int(held[best])))
        apart = (east < window.west) | (west > window.east) | (north < window.south) | (south > window.north)
        held = np.where(apart, held, 0)
    return found


def _windows(latitude: np.ndarray, longitude: np.ndarray, height_km: float) -> tuple[np.ndarray, ...]:
    """West, south, east and north of a window around each point, moved to lie on the world map."""
    half = height_km / KM_PER_DEGREE / 2
    middle = np.clip(latitude, SOUTH + half, NORTH - half)
    half_width = ZOOM_SHAPE * half / np.cos(np.radians(middle))
    across = np.clip(longitude, half_width - 180, 180 - half_width)
    return across - half_width, middle - half, across + half_width, middle + half


def _held(latitude: np.ndarray, longitude: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    """How many points each window holds, edges included; only those between its parallels are compared."""
    order = np.argsort(latitude, kind="stable")
    ordered, across = latitude[order], longitude[order]
    west, south, east, north = sides
    first, last = np.searchsorted(ordered, south), np.searchsorted(ordered, north, side="right")
    bounds = zip(first.tolist(), last.tolist(), west.tolist(), east.tolist(), strict=True)
    return np.array([((across[a:b] >= left) & (across[a:b] <= right)).sum() for a, b, left, right in bounds])


def name_of(cells: gpd.GeoDataFrame) -> str:
    """Up to three countries that have most of the cells; the regions, where nearly all are in one country."""
    countries = cells["country_name"].value_counts()
    if countries.iloc[0] < 0.8 * len(cells):
        return in_words(countries.index[:3].tolist())
    regions = cells.loc[cells["country_name"] == countries.index[0], "region"].dropna().value_counts()
    return f"{in_words(regions.index[:2].tolist())}, {countries.index[0]}" if len(regions) else countries.index[0]


def in_words(names: Sequence[str]) -> str:
    """One, two and three."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def zoomed(cells: gpd.GeoDataFrame, region: Region, titles: Sequence[str], kinds: Sequence[str]) -> str:
    """A map of a region; cells are cut a little beyond its edge, so that the cut is not seen."""
    window = region.window
    margin = (window.east - window.west) / 30
    frame = shapely.box(window.west - margin, window.south - margin, window.east + margin, window.north + margin)
    rows = np.flatnonzero(cells.intersects(frame).to_numpy())
    cut = [surface(shape) for shape in shapely.intersection(cells.geometry.to_numpy()[rows], frame)]
    shapes = drawn(cells.iloc[rows].set_geometry(cut), window)
    label = f"Map of the geocells of {region.name}, shaded by their photos"
    return shaded(shapes, [titles[row] for row in rows], [kinds[row] for row in rows], label, window)


def exceptions_of(cells: gpd.GeoDataFrame, exceptions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many cells are not within the limits, by reason, and the first of them by name."""
    names = cells.set_index("cell_id")["name"]
    countries = cells.set_index("cell_id")["country_name"]
    listed = [
        dict(entry) | {"name": names[entry["cell_id"]], "country": countries[entry["cell_id"]]}
        for entry in exceptions[:LISTED]
    ]
    reasons = pd.Series([entry["reason"] for entry in exceptions], dtype=str).value_counts()
    return {"count": len(exceptions), "reasons": reasons.to_dict(), "listed": listed}
