"""Section on errors by country, as a map and as a table, and a map of the error of each photo."""

from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from homing.geocells.export import simplified_outlines
from homing.geocells.geometry.land import surface
from homing.readouts import ANSWER
from homing.report.geocells import drawn
from homing.report.inputs import Inputs
from homing.report.maps import WORLD, Map, Outline
from homing.templates import km

LEVELS_KM = {25: "≤ 25 km", 200: "≤ 200", 750: "≤ 750", 2500: "≤ 2,500", np.inf: "farther"}
SEAM_DEGREES = 0.1  # gaps between the simplified cells of a country that are narrower are closed
MAX_POINTS = 2_000  # photos on the map
KINDS = (("near", "circle"), ("fair", "square"), ("far", "triangle"), ("lost", "cross"))
POINT_KM = (200, 750, 2500)
POINT_WORDS = ("≤ 200 km", "≤ 750", "≤ 2,500", "farther")
MIN_LABEL_WIDTH = 30.0  # pixels; narrower countries are not labelled with their number of photos


def section(inputs: Inputs, land: dict[str, Outline]) -> dict[str, Any]:
    """Return what the template countries_section.html.j2 shows; `land` has the outline of each country by its code."""
    per_country = inputs.test["readouts"][ANSWER].get("per_country", {})
    names = dict(zip(inputs.truth["country"], inputs.truth["country_name"], strict=True))
    rows = [{"name": names.get(code) or code, **figures} for code, figures in per_country.items()]
    return {
        "rows": rows,
        "map": country_map(per_country, names, land),
        "legend": [(f"level-{number}", number, text) for number, text in enumerate(LEVELS_KM.values())],
        "points": points_map(inputs),
        "point_legend": [(kind, shape, text) for (kind, shape), text in zip(KINDS, POINT_WORDS, strict=True)],
    }


def outlines_by_country(cells: gpd.GeoDataFrame) -> dict[str, Outline]:
    """Join the cells of each country into one outline, simplified to the resolution of a world map."""
    simple = simplified_outlines(cells, 1 / WORLD.pixels_per_degree).geometry.to_numpy()
    rows = cells.groupby("country").indices
    whole = [surface(shapely.union_all(simple[at], grid_size=SEAM_DEGREES)) for at in rows.values()]
    names = cells[["cell_id", "name", "region", "country_name", "photos"]].iloc[[at[0] for at in rows.values()]]
    return dict(zip(rows, drawn(gpd.GeoDataFrame(names, geometry=whole, crs=cells.crs), WORLD), strict=True))


def country_map(per_country: dict[str, Any], names: dict[str, str], land: dict[str, Outline]) -> str:
    """Draw countries by median error, hatched for readers who do not see the colours, with their number of photos."""
    world = Map()
    for code, outline in land.items():
        figures = per_country.get(code)
        if figures is None:
            world.land([Outline(outline.rings, f"{names.get(code, code)}: no test photo", "unknown")])
            continue
        level = int(np.searchsorted(list(LEVELS_KM), figures["median_km"]))
        title = f"{names[code]}: median {km(figures['median_km'])}, {figures['n']:,} photos"
        world.land([Outline(outline.rings, title, f"hatch-{level}")])
    for code, figures in per_country.items():
        if code in land and land[code].rings:
            label(world, land[code], f"{figures['n']:,}")
    return world.svg("World map: countries by the median error of their photos, with the number of photos")


def label(world: Map, outline: Outline, text: str) -> None:
    """Write text into the largest part of a country if it is wide enough."""
    largest = max(outline.rings, key=lambda ring: shapely.Polygon(ring).area)
    west, _, east, _ = shapely.Polygon(largest).bounds
    if world.window.x(east) - world.window.x(west) >= MIN_LABEL_WIDTH:
        inside = shapely.Polygon(largest).representative_point()
        world.text(inside.y, inside.x, text, "label")


def points_map(inputs: Inputs) -> str:
    """Draw test photos at their true places; colour and shape show the class of the error."""
    world = Map()
    world.shared_land()
    error_km = inputs.error_km[ANSWER]
    rows = np.unique(np.linspace(0, len(error_km) - 1, min(MAX_POINTS, len(error_km))).astype(int))
    level = np.searchsorted(POINT_KM, error_km)
    places = inputs.truth[["latitude", "longitude"]].to_numpy()
    for row in rows[np.argsort(level[rows], kind="stable")]:
        kind, shape = KINDS[level[row]]
        latitude, longitude = places[row]
        world.mark(latitude, longitude, 3, shape, kind, km(error_km[row]))
    return world.svg(f"World map of {len(rows):,} test photos at their true places, by the error of their answers")
