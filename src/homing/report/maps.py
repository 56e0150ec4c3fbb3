"""Maps as SVG text, drawn from outlines and points alone; colours come from the page's style sheet."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

NORTH, SOUTH = 84.0, -60.0
WIDTH = 1000.0


@dataclass(frozen=True)
class Window:
    """What a map shows, in degrees: meridians and parallels are straight, and distances right along `true_latitude`."""

    west: float = -180.0
    south: float = SOUTH
    east: float = 180.0
    north: float = NORTH
    true_latitude: float = 0.0
    width: float = WIDTH  # pixels

    @property
    def pixels_per_degree(self) -> float:
        """Of longitude."""
        return self.width / (self.east - self.west)

    @property
    def height(self) -> float:
        """Pixels."""
        return (self.north - self.south) * self.pixels_per_degree / math.cos(math.radians(self.true_latitude))

    def x(self, longitude: float) -> float:
        """Pixels from the left."""
        return (longitude - self.west) * self.pixels_per_degree

    def y(self, latitude: float) -> float:
        """Pixels from the top."""
        return (self.north - latitude) * self.height / (self.north - self.south)


WORLD = Window()


@dataclass(frozen=True)
class Outline:
    """A cell's outline: rings of (longitude, latitude), what is told about it, and a class of the style sheet."""

    rings: tuple[tuple[tuple[float, float], ...], ...]
    title: str = ""
    kind: str = "shade-0"


def outlines_of(geojson: Mapping[str, Any]) -> list[Outline]:
    """The outlines of a FeatureCollection of polygons; properties name and kind are used if there."""
    found = []
    for feature in geojson["features"]:
        shape = feature["geometry"]
        polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        rings = tuple(tuple((point[0], point[1]) for point in ring) for polygon in polygons for ring in polygon)
        properties = feature["properties"]
        found.append(Outline(rings, properties.get("name") or "", properties.get("kind", "shade-0")))
    return found


class Map:
    """Layers of a map, the first at the bottom."""

    def __init__(self, window: Window = WORLD) -> None:
        self.window = window
        self.layers: list[str] = []

    def land(self, outlines: Iterable[Outline]) -> None:
        """Filled outlines; what is too small to be seen is left out."""
        for outline in outlines:
            path = "".join(self._ring(ring) for ring in outline.rings)
            if path:
                self._add(f'<path class="cell {outline.kind}" d="{path}"', outline.title, "path")

    def point(self, latitude: float, longitude: float, radius: float, kind: str, title: str = "") -> None:
        """A dot; `kind` is a class of the style sheet."""
        x, y = self._place(latitude, longitude)
        self._add(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"', title, "circle")

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line between two (latitude, longitude), the short way round the globe."""
        (lat_a, lon_a), (lat_b, lon_b) = start, end
        turn = 360 if lon_b - lon_a < -180 else -360 if lon_b - lon_a > 180 else 0
        for shift in {0, -turn}:
            (x1, y1), (x2, y2) = self._place(lat_a, lon_a + shift), self._place(lat_b, lon_b + turn + shift)
            self.layers.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def _place(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Pixels; what lies north or south of the map stands at its edge."""
        return self.window.x(longitude), min(max(self.window.y(latitude), 0), self.window.height)

    def _ring(self, ring: Sequence[tuple[float, float]]) -> str:
        """A path of steps in tenths of a pixel, which are shorter to write than places."""
        places = [
            (round(10 * self.window.x(longitude)), round(10 * self.window.y(latitude))) for longitude, latitude in ring
        ]
        kept = [place for number, place in enumerate(places) if number == 0 or place != places[number - 1]]
        if len(set(kept)) < 3:
            return ""
        if kept[-1] == kept[0]:
            kept.pop()
        steps = [(x - x0, y - y0) for (x0, y0), (x, y) in pairwise(kept)]
        return f"M{_tenths(*kept[0])}l{' '.join(_tenths(*step) for step in steps)}Z"

    def _add(self, element: str, title: str, tag: str) -> None:
        self.layers.append(f"{element}><title>{escape(title)}</title></{tag}>" if title else f"{element}/>")

    def svg(self, label: str = "") -> str:
        """The map; `label` is what a screen reader says."""
        box = f"0 0 {self.window.width:.0f} {self.window.height:.0f}"
        told = f' aria-label="{escape(label)}"' if label else ""
        return f'<svg class="map" viewBox="{box}" role="img"{told}>{"".join(self.layers)}</svg>'


def _tenths(x: int, y: int) -> str:
    return f"{x / 10:g} {y / 10:g}" if y >= 0 else f"{x / 10:g}{y / 10:g}"
