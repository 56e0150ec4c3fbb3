"""Maps as SVG text, drawn from outlines and points; colours come from the style sheet of the page."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

NORTH, SOUTH = 84.0, -60.0
WIDTH = 1000.0
LAND = "land"  # id of the outlines that the maps of a page share
HATCHES = 5
# Patterns of the ordered classes for readers who do not see the colours: lines and dots in a square of eight pixels.
HATCHED = (
    "",
    '<circle cx="4" cy="4" r="1.1"/>',
    '<path d="M-2 6L6 -2M2 10L10 2"/>',
    '<path d="M0 2H8M0 6H8"/>',
    '<path d="M0 0L8 8M8 0L0 8"/>',
)
SHAPES = {  # points of a polygon around the place, in radii
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "cross": ((-1.2, -0.4), (-0.4, -0.4), (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4),
              (1.2, 0.4), (0.4, 0.4), (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4)),
}  # fmt: skip
HEAD = 7.0  # pixels of an arrow's head


@dataclass(frozen=True)
class Window:
    """The extent of a map in degrees, in an equirectangular projection that is true to scale along `true_latitude`.

    A window across the antimeridian has an east above 180 degrees.
    """

    west: float = -180.0
    south: float = SOUTH
    east: float = 180.0
    north: float = NORTH
    true_latitude: float = 0.0
    width: float = WIDTH  # pixels

    @property
    def shifts(self) -> tuple[float, ...]:
        """Degrees of longitude by which shapes are shifted: each is drawn twice if the window crosses 180 degrees."""
        return (0.0, 360.0) if self.east > 180 else (0.0,)

    @property
    def pixels_per_degree(self) -> float:
        """Pixels per degree of longitude."""
        return self.width / (self.east - self.west)

    @property
    def height(self) -> float:
        """Height in pixels."""
        return (self.north - self.south) * self.pixels_per_degree / math.cos(math.radians(self.true_latitude))

    def x(self, longitude: float) -> float:
        """Return pixels from the left."""
        return (longitude - self.west) * self.pixels_per_degree

    def y(self, latitude: float) -> float:
        """Return pixels from the top."""
        return (self.north - latitude) * self.height / (self.north - self.south)


WORLD = Window()


@dataclass(frozen=True)
class Outline:
    """An outline: rings of (longitude, latitude), its tooltip, and its class in the style sheet."""

    rings: tuple[tuple[tuple[float, float], ...], ...]
    title: str = ""
    kind: str = "shade-0"


def outlines_of(geojson: Mapping[str, Any]) -> list[Outline]:
    """Return the outlines of a GeoJSON FeatureCollection of polygons, with its properties name and kind if present."""
    found = []
    for feature in geojson["features"]:
        shape = feature["geometry"]
        polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        rings = tuple(tuple((point[0], point[1]) for point in ring) for polygon in polygons for ring in polygon)
        properties = feature["properties"]
        found.append(Outline(rings, properties.get("name") or "", properties.get("kind", "shade-0")))
    return found


class Map:
    """A map made of layers, the first at the bottom."""

    def __init__(self, window: Window = WORLD) -> None:
        self.window = window
        self.layers: list[str] = []

    def land(self, outlines: Iterable[Outline]) -> None:
        """Add filled outlines; those too small to be seen are left out."""
        for outline in outlines:
            path = "".join(self._ring(ring, shift) for shift in self.window.shifts for ring in outline.rings)
            if path:
                self._add(f'<path class="cell {outline.kind}" d="{path}"', outline.title, "path")

    def shared_land(self) -> None:
        """Add the outlines that `definitions` put into the page."""
        across = self.window.pixels_per_degree / WORLD.pixels_per_degree
        down = self.window.height / (self.window.north - self.window.south) / WORLD.pixels_per_degree
        for shift in self.window.shifts:
            x, y = self.window.x(WORLD.west + shift), self.window.y(WORLD.north)
            transform = f"matrix({across:.5g} 0 0 {down:.5g} {x:.2f} {y:.2f})"
            self.layers.append(f'<use href="#{LAND}" class="land" transform="{transform}"/>')

    def mark(self, latitude: float, longitude: float, radius: float, shape: str, kind: str, title: str = "") -> None:
        """Add a mark of one of the `SHAPES`, or a circle; `kind` is a class of the style sheet."""
        if shape == "circle":
            self.point(latitude, longitude, radius, kind, title)
            return
        x, y = self._place(latitude, longitude)
        corners = " ".join(f"{x + radius * right:.1f},{y + radius * down:.1f}" for right, down in SHAPES[shape])
        self._add(f'<polygon class="{kind}" points="{corners}"', title, "polygon")

    def text(self, latitude: float, longitude: float, words: str, kind: str) -> None:
        """Add text centred at a place."""
        x, y = self._place(latitude, longitude)
        self.layers.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

    def arrow(self, start: tuple[float, float], end: tuple[float, float], width: float, kind: str, title: str) -> None:
        """Add an arrow between two (latitude, longitude) the short way round the globe; twice if across the edge."""
        turn = 360 * round((start[1] - end[1]) / 360)
        self.layers.append(f'<g class="{kind}"><title>{escape(title)}</title>')
        for shift in dict.fromkeys((0, -turn)):
            x1, y1 = self._place(start[0], start[1] + shift)
            x2, y2 = self._place(end[0], end[1] + turn + shift)
            self.layers.append(_arrow_path(x1, y1, x2, y2, width))
        self.layers.append("</g>")

    def point(self, latitude: float, longitude: float, radius: float, kind: str, title: str = "") -> None:
        """Add a dot; `kind` is a class of the style sheet."""
        x, y = self._place(latitude, longitude)
        self._add(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"', title, "circle")

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """Add a straight line between two (latitude, longitude) the short way round the globe."""
        (lat_a, lon_a), (lat_b, lon_b) = start, end
        turn = 360 if lon_b - lon_a < -180 else -360 if lon_b - lon_a > 180 else 0
        for shift in {0, -turn}:
            (x1, y1), (x2, y2) = self._place(lat_a, lon_a + shift), self._place(lat_b, lon_b + turn + shift)
            self.layers.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def _place(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Return (x, y) in pixels; places north or south of the map are moved to its edge."""
        shift = 360 if longitude < self.window.west and self.window.east > 180 else 0
        return self.window.x(longitude + shift), min(max(self.window.y(latitude), 0), self.window.height)

    def _ring(self, ring: Sequence[tuple[float, float]], shift: float = 0.0) -> str:
        """Return an SVG path of relative steps in tenths of a pixel, which are shorter than absolute positions."""
        places = [
            (round(10 * self.window.x(longitude + shift)), round(10 * self.window.y(latitude)))
            for longitude, latitude in ring
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
        """Return the map as SVG; `label` is what a screen reader says."""
        box = f"0 0 {self.window.width:.0f} {self.window.height:.0f}"
        spoken = f' aria-label="{escape(label)}"' if label else ""
        return f'<svg class="map" viewBox="{box}" role="img"{spoken}>{"".join(self.layers)}</svg>'


def _arrow_path(x1: float, y1: float, x2: float, y2: float, width: float) -> str:
    """Return shaft and head of an arrow as SVG; an arrow that is shorter than its head has no shaft."""
    length = math.hypot(x2 - x1, y2 - y1)
    right, down = ((x2 - x1) / length, (y2 - y1) / length) if length else (0.0, -1.0)
    head = HEAD + width
    neck_x, neck_y = x2 - head * right, y2 - head * down
    sides = [(neck_x + side * head / 2 * down, neck_y - side * head / 2 * right) for side in (1, -1)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in ((x2, y2), *sides))
    shaft = f'<path d="M{x1:.1f} {y1:.1f}L{neck_x:.1f} {neck_y:.1f}" stroke-width="{width:.1f}"/>'
    return (shaft if length > head else "") + f'<polygon points="{points}"/>'


def definitions(land: Iterable[Outline]) -> str:
    """Return SVG definitions that the maps of a page share: the outlines of the land, and a hatch for each class."""
    drawing = Map()
    path = "".join(drawing._ring(ring) for outline in land for ring in outline.rings)
    hatches = "".join(
        f'<pattern id="hatch-{number}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect class="level-{number}" width="8" height="8"/><g class="hatch">{HATCHED[number]}</g></pattern>'
        for number in range(HATCHES)
    )
    shared = f'<path id="{LAND}" d="{path}"/>{hatches}'
    return f'<svg class="shared" width="0" height="0" aria-hidden="true"><defs>{shared}</defs></svg>'


def _tenths(x: int, y: int) -> str:
    return f"{x / 10:g} {y / 10:g}" if y >= 0 else f"{x / 10:g}{y / 10:g}"
