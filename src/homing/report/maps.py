"""World maps as SVG text, drawn from outlines and points alone; colours come from the page's style sheet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH = 1000.0
NORTH, SOUTH = 84.0, -60.0
SCALE = WIDTH / 360  # an equirectangular map


@dataclass(frozen=True)
class Outline:
    """A cell's outline: rings of (longitude, latitude), and what is told about it."""

    rings: tuple[tuple[tuple[float, float], ...], ...]
    title: str = ""
    shade: int = 0  # 0..4, a class of the style sheet


def outlines_of(geojson: Mapping[str, Any]) -> list[Outline]:
    """The outlines of a FeatureCollection of polygons; properties name and shade are used if there."""
    found = []
    for feature in geojson["features"]:
        shape = feature["geometry"]
        polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        rings = tuple(tuple((point[0], point[1]) for point in ring) for polygon in polygons for ring in polygon)
        properties = feature["properties"]
        found.append(Outline(rings, properties.get("name") or "", properties.get("shade", 0)))
    return found


def x_of(longitude: float) -> float:
    """Pixels from the left."""
    return (longitude + 180) * SCALE


def y_of(latitude: float) -> float:
    """Pixels from the top."""
    return (NORTH - min(max(latitude, SOUTH), NORTH)) * SCALE


class Map:
    """Layers of a map, the first at the bottom."""

    def __init__(self) -> None:
        self.layers: list[str] = []

    def land(self, outlines: Iterable[Outline]) -> None:
        """Filled outlines."""
        for outline in outlines:
            path = "".join(_ring(ring) for ring in outline.rings)
            self._add(f'<path class="cell shade-{outline.shade}" d="{path}"', outline.title, "path")

    def point(self, latitude: float, longitude: float, radius: float, kind: str, title: str = "") -> None:
        """A dot; `kind` is a class of the style sheet."""
        place = f'cx="{x_of(longitude):.1f}" cy="{y_of(latitude):.1f}" r="{radius:.1f}"'
        self._add(f'<circle class="{kind}" {place}', title, "circle")

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line between two (latitude, longitude), the short way round the globe."""
        (lat_a, lon_a), (lat_b, lon_b) = start, end
        turn = 360 if lon_b - lon_a < -180 else -360 if lon_b - lon_a > 180 else 0
        for shift in {0, -turn}:
            ends = (lon_a + shift, lat_a), (lon_b + turn + shift, lat_b)
            (x1, y1), (x2, y2) = ((x_of(longitude), y_of(latitude)) for longitude, latitude in ends)
            self.layers.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def _add(self, element: str, title: str, tag: str) -> None:
        self.layers.append(f"{element}><title>{escape(title)}</title></{tag}>" if title else f"{element}/>")

    def svg(self) -> str:
        """The map."""
        box = f"0 0 {WIDTH:.0f} {(NORTH - SOUTH) * SCALE:.0f}"
        return (
            f'<svg class="map" viewBox="{box}" role="img" preserveAspectRatio="xMidYMid">{"".join(self.layers)}</svg>'
        )


def _ring(ring: Sequence[tuple[float, float]]) -> str:
    points = [f"{x_of(longitude):.1f} {y_of(latitude):.1f}" for longitude, latitude in ring]
    kept = [point for number, point in enumerate(points) if number == 0 or point != points[number - 1]]
    return f"M{'L'.join(kept)}Z" if len(kept) > 2 else ""
