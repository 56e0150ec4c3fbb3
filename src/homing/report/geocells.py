"""Semantic geocells, as a section of the report and as a page of its own: maps, zooms, sizes, quality figures."""

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
from homing.sphere import KM_PER_DEGREE
from homing.templates import environment, km

MAX_LISTED = 20  # exceptions
MAX_NAMED = 10_000  # cells; with more, a world map is too coarse to point at one, and names would fill the page
SHADES = 5
ERRORS_KM = {25: "≤ 25 km", 75: "≤ 75", 200: "≤ 200", 750: "≤ 750", np.inf: "farther"}
ZOOMS, MIN_ZOOM_CELLS = 3, 3  # number of zoomed maps, and the fewest centroids to make one
ZOOM_KM, ZOOM_RADII = (900, 3000), 6  # limits of the height, and the height in radii of the median cell
ZOOM_ASPECT, ZOOM_PIXELS = 1.5, 500  # width / height; width
MIN_ISLAND = 0.5  # square pixels: smaller islands are not drawn
SPLITS = ("test", "val", "train")
ANSWERS = {"centroid": "centroid", "nearest": "best training photo of the cell"}


@dataclass(frozen=True)
class Cells:
    """The data of the section."""

    table: gpd.GeoDataFrame  # geocells.parquet
    oracle_km: np.ndarray  # (C,) median error of a perfect classifier in each cell, NaN without photos
    quality: Mapping[str, Any]
    partitions: Sequence[Mapping[str, Any]]  # rows of comparison.json


@dataclass(frozen=True)
class Region:
    """A window of the map with many cells."""

    window: Window
    name: str
    cells: int


def render_geocells(run: str, dataset: str, cells: Cells) -> str:
    """Return the HTML of the page on the geocells of a run."""
    template = environment().get_template("geocells.html.j2")
    return template.render(run=run, dataset=dataset, folder="", cells=section(cells, drawn(cells.table, WORLD)))


def section(cells: Cells, world: Sequence[Outline]) -> dict[str, Any]:
    """Return what geocells_section.html.j2 shows; `world` has the outlines of the cells for a world map."""
    photos, quality = cells.table["photos"].to_numpy(), cells.quality
    titles = titles_of(cells)
    shown = titles if len(titles) <= MAX_NAMED else [""] * len(titles)
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
        "zoom_km": (ZOOM_ASPECT * height_km, height_km),
        "sizes": histogram(photos, "photos in a cell", log=True, counted="cells", marks=limits),
        "limits": limits,
        "splits": [split for split in SPLITS if f"oracle.{split}.photos" in quality],
        "answers": ANSWERS,
        "exceptions": exceptions_of(cells.table, quality["exceptions"]),
        "partitions": cells.partitions,
        "parts": parts_of_table(),
    }


def parts_of_table() -> dict[str, dict[str, Figure]]:
    """Return the columns of the comparison by part: as one table they would be too wide for a page."""
    parts: dict[str, dict[str, Figure]] = {}
    for key, figure in FIGURES.items():
        parts.setdefault(figure.part, {})[key] = figure
    return parts


def titles_of(cells: Cells) -> list[str]:
    """Return the tooltip of each cell."""
    errors_km = cells.oracle_km.tolist()
    return [
        f"{cell.name}, {cell.country_name}: {cell.photos:,} photos" + ("" if np.isnan(error) else f", {km(error)} off")
        for cell, error in zip(cells.table.itertuples(), errors_km, strict=True)
    ]


def photo_shades(photos: np.ndarray) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the CSS class of each cell, darker with more photos (about fifths of the cells), and the legend."""
    starts = np.unique(np.quantile(photos, np.arange(SHADES) / SHADES, method="lower"))
    shade = np.searchsorted(starts, photos, side="right") - 1
    ends = [int(photos[shade == number].max()) for number in range(len(starts))]
    words = [f"{start:,.0f} – {end:,}" if start < end else f"{end:,}" for start, end in zip(starts, ends, strict=True)]
    return [f"shade-{number}" for number in shade], [(f"shade-{number}", text) for number, text in enumerate(words)]


def error_shades(oracle_km: np.ndarray) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the CSS class of each cell by its oracle error, and the legend."""
    level = np.searchsorted(list(ERRORS_KM), np.nan_to_num(oracle_km))
    empty = np.isnan(oracle_km)
    kinds = ["unknown" if nothing else f"scale-{number}" for number, nothing in zip(level.tolist(), empty, strict=True)]
    legend = [(f"scale-{number}", text) for number, text in enumerate(ERRORS_KM.values())]
    return kinds, legend + ([("unknown", "no photo of the run")] if empty.any() else [])


def drawn(cells: gpd.GeoDataFrame, window: Window) -> list[Outline]:
    """Simplify the outline of each cell to the resolution of the map, without specks of islands."""
    simple = simplified_outlines(cells, 1 / window.pixels_per_degree).geometry.to_numpy()
    parts, cell = shapely.get_parts(simple, return_index=True)
    size = shapely.area(parts)
    largest = np.zeros(len(cells))
    np.maximum.at(largest, cell, size)
    kept = (size * window.pixels_per_degree**2 >= MIN_ISLAND) | (size == largest[cell])
    rings: list[list[tuple[tuple[float, float], ...]]] = [[] for _ in range(len(cells))]
    for part, number in zip(parts[kept], cell[kept].tolist(), strict=True):
        rings[number] += [tuple(ring.coords) for ring in (part.exterior, *part.interiors)]
    return [Outline(tuple(found)) for found in rings]


def shaded(
    shapes: Sequence[Outline], titles: Sequence[str], kinds: Sequence[str], label: str, window: Window = WORLD
) -> str:
    """Draw a map of the cells with their tooltips and CSS classes."""
    drawing = Map(window)
    styled = zip(shapes, titles, kinds, strict=True)
    drawing.land(replace(shape, title=title, kind=kind) for shape, title, kind in styled)
    return drawing.svg(label)


def zoom_height_km(cells: gpd.GeoDataFrame) -> float:
    """Return the height of the zoomed maps: some radii of the median cell, within ZOOM_KM."""
    return float(np.clip(round(ZOOM_RADII * cells["radius_km"].median(), -2), *ZOOM_KM))


def densest(cells: gpd.GeoDataFrame, height_km: float) -> list[Region]:
    """Return the disjoint windows of that height, each around a centroid, that hold the most centroids."""
    latitude, longitude = cells["latitude"].to_numpy(), cells["longitude"].to_numpy()
    west, south, east, north = _windows(latitude, longitude, height_km)
    held = _centroids_within(latitude, longitude, west, south, east, north)
    found: list[Region] = []
    while len(found) < ZOOMS and held.max() >= MIN_ZOOM_CELLS:
        best = int(held.argmax())
        window = Window(
            west=float(west[best]), south=float(south[best]), east=float(east[best]), north=float(north[best]),
            true_latitude=float(south[best] + north[best]) / 2, width=ZOOM_PIXELS,
        )  # fmt: skip
        within = (longitude >= window.west) & (longitude <= window.east)
        within &= (latitude >= window.south) & (latitude <= window.north)
        found.append(Region(window, name_of(cells[within]), int(held[best])))
        disjoint = (east < window.west) | (west > window.east) | (north < window.south) | (south > window.north)
        held = np.where(disjoint, held, 0)
    return found


def _windows(latitude: np.ndarray, longitude: np.ndarray, height_km: float) -> tuple[np.ndarray, ...]:
    """Return west, south, east and north of a window around each point, (n,) each, moved to lie on the world map."""
    half = height_km / KM_PER_DEGREE / 2
    centre_latitude = np.clip(latitude, SOUTH + half, NORTH - half)
    half_width = ZOOM_ASPECT * half / np.cos(np.radians(centre_latitude))
    centre_longitude = np.clip(longitude, half_width - 180, 180 - half_width)
    return centre_longitude - half_width, centre_latitude - half, centre_longitude + half_width, centre_latitude + half


def _centroids_within(latitude: np.ndarray, longitude: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    """Count the points in each window, edges included; the sorted latitudes narrow down which to compare."""
    order = np.argsort(latitude, kind="stable")
    latitude, longitude = latitude[order], longitude[order]
    west, south, east, north = sides
    first, last = np.searchsorted(latitude, south), np.searchsorted(latitude, north, side="right")
    bounds = zip(first.tolist(), last.tolist(), west.tolist(), east.tolist(), strict=True)
    return np.array([((longitude[a:b] >= left) & (longitude[a:b] <= right)).sum() for a, b, left, right in bounds])


def name_of(cells: gpd.GeoDataFrame) -> str:
    """Name up to three countries with the most cells, or the regions if nearly all cells are in one country."""
    countries = cells["country_name"].value_counts()
    if countries.iloc[0] < 0.8 * len(cells):
        return in_words(countries.index[:3].tolist())
    regions = cells.loc[cells["country_name"] == countries.index[0], "region"].dropna().value_counts()
    return f"{in_words(regions.index[:2].tolist())}, {countries.index[0]}" if len(regions) else countries.index[0]


def in_words(names: Sequence[str]) -> str:
    """Join names as "one, two and three"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def zoomed(cells: gpd.GeoDataFrame, region: Region, titles: Sequence[str], kinds: Sequence[str]) -> str:
    """Draw a map of a region; cells are clipped a little beyond its edge, so that the cut is not seen."""
    window = region.window
    margin = (window.east - window.west) / 30
    frame = shapely.box(window.west - margin, window.south - margin, window.east + margin, window.north + margin)
    rows = np.flatnonzero(cells.intersects(frame).to_numpy()).tolist()
    clipped = [surface(shape) for shape in shapely.intersection(cells.geometry.to_numpy()[rows], frame)]
    shapes = drawn(cells.iloc[rows].set_geometry(clipped), window)
    label = f"Map of the geocells of {region.name}, shaded by their photos"
    return shaded(shapes, [titles[row] for row in rows], [kinds[row] for row in rows], label, window)


def exceptions_of(cells: gpd.GeoDataFrame, exceptions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count the cells outside the limits by reason, and list the first of them by name."""
    names = cells.set_index("cell_id")["name"]
    countries = cells.set_index("cell_id")["country_name"]
    listed = [
        dict(entry) | {"name": names[entry["cell_id"]], "country": countries[entry["cell_id"]]}
        for entry in exceptions[:MAX_LISTED]
    ]
    reasons = pd.Series([entry["reason"] for entry in exceptions], dtype=str).value_counts()
    return {"count": len(exceptions), "reasons": reasons.to_dict(), "listed": listed}
