"""Rendering of a photo: what is drawn depends on where, when and in which country it is taken.

Sky and light depend on the sun's elevation, clouds on rain, relief on elevation, ground and plants on climate, leaves
and snow on the season, houses on country and population density, cars on the driving side, a sign on country and
region.
"""

import colorsys
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

OVERSAMPLING = 2
HORIZON = 0.52  # share of the image height
JPEG_QUALITY = 88

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """Everything that a photo shows."""

    seed: int
    country: int
    countries: int
    region: int
    climate: int  # Koppen-Geiger class 1..30
    temperature_c: float  # of the month
    rain_mm: float  # of the month
    elevation_m: float
    population_per_km2: float
    year_phase: float  # 0 midwinter, 0.5 midsummer
    sun_height: float  # elevation of the sun in degrees
    drives_on_left: bool
    soil: float  # colour of the soil, -1..1

    @property
    def warm_season(self) -> float:
        """0 in midwinter to 1 in midsummer."""
        return (1 - np.cos(2 * np.pi * self.year_phase)) / 2


def render(scene: Scene, side: int) -> bytes:
    """Render a scene as a square JPEG of `side` pixels."""
    rng = np.random.default_rng(scene.seed)
    size = side * OVERSAMPLING
    image = _sky(scene, size, rng)
    draw = ImageDraw.Draw(image)
    _relief(draw, scene, size, rng)
    _ground(draw, scene, size)
    _houses(draw, scene, size, rng)
    _flowers(draw, scene, size, rng)
    _road(draw, scene, size)
    _plants(draw, scene, size, rng)
    _cars(draw, scene, size, rng)
    _sign(draw, scene, size, rng)
    image = image.resize((side, side), Image.Resampling.BOX)
    if rng.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    light = np.clip(0.72 + scene.sun_height / 130, 0.6, 1.08) * rng.uniform(0.92, 1.06)
    pixels = np.asarray(image, dtype=np.float32) * light + rng.normal(0, 3, (side, side, 1))
    output = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(output, "JPEG", quality=JPEG_QUALITY)
    return output.getvalue()


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Interpolate between two colours; share: that of the other one, clipped to 0..1."""
    share = min(max(share, 0.0), 1.0)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def hue(value: float, saturation: float, brightness: float) -> Colour:
    """Return a colour by its hue (periodic in 1), saturation and brightness (0..1)."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(value % 1, saturation, brightness))
    return red, green, blue


def _sky(scene: Scene, size: int, rng: np.random.Generator) -> Image.Image:
    """Draw the sky: blue, paler at the horizon, red when the sun is low, grey when it rains; the sun and clouds."""
    low = np.clip(1 - scene.sun_height / 25, 0, 1)
    cloudy = np.clip(scene.rain_mm / 180 + rng.normal(0, 0.15), 0, 0.9)
    top = mix(mix((62, 118, 205), (70, 70, 130), low * 0.6), (150, 158, 168), cloudy)
    bottom = mix(mix((176, 210, 240), (246, 172, 110), low), (196, 200, 204), cloudy)
    bottom = mix(bottom, (232, 214, 170), 0.45 * (4 <= scene.climate <= 7))
    share = np.linspace(0, 1, size)[:, None] / HORIZON
    rows = np.asarray(top) + (np.asarray(bottom) - np.asarray(top)) * np.clip(share, 0, 1)
    image = Image.fromarray(np.repeat(rows[:, None].astype(np.uint8), size, axis=1))
    draw = ImageDraw.Draw(image)
    if cloudy < 0.6:
        y = size * HORIZON * (1 - min(scene.sun_height, 85) / 90)
        x, radius = size * rng.uniform(0.1, 0.9), size * 0.045
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=mix((255, 246, 205), (255, 190, 100), low))
    for _ in range(round(8 * cloudy)):
        x, y, width = rng.uniform(-0.1, 1) * size, rng.uniform(0.02, 0.35) * size, rng.uniform(0.15, 0.4) * size
        draw.ellipse([x, y, x + width, y + width / 4], fill=mix((250, 250, 250), (140, 145, 152), cloudy * 0.8))
    return image


def _relief(draw: ImageDraw.ImageDraw, scene: Scene, size: int, rng: np.random.Generator) -> None:
    """Draw hills and mountains, higher with elevation, with snow caps where it is cold."""
    height = size * np.clip(np.log1p(scene.elevation_m / 150) / 9, 0.02, 0.45)
    rock = mix(mix((104, 120, 92), (150, 122, 92), 0.5 + 0.5 * scene.soil), (128, 132, 150), 0.4)
    for layer in range(2):
        x = np.linspace(0, size, 17)
        peaks = np.abs(rng.normal(0, 1, 17)) * 0.45 + 0.45
        y = size * HORIZON - height * peaks * (1 - 0.45 * layer)
        colour = mix(rock, (190, 200, 215), 0.35 * (1 - layer))
        outline = [*zip(x.tolist(), y.tolist(), strict=True), (size, size), (0, size)]
        draw.polygon(outline, fill=colour)
        _snow_caps(draw, scene, size, height, np.interp(np.arange(size), x, y))


def _snow_caps(draw: ImageDraw.ImageDraw, scene: Scene, size: int, height: float, ridge: np.ndarray) -> None:
    """Draw white above the snow line. ridge: y of the ridge at each x, (size,)."""
    line = 0.30 + 1.5 * np.clip((scene.temperature_c + 2) / 26, 0, 1)  # share of the relief below the snow
    snow = size * HORIZON - height * line
    for x in np.flatnonzero(ridge < snow).tolist():
        draw.line([(x, ridge[x]), (x, snow)], fill=(244, 247, 252))


GROUNDS = {"A": (58, 128, 52), "B": (214, 184, 122), "C": (110, 152, 74), "D": (92, 126, 84), "E": (150, 150, 132)}


def group(climate: int) -> str:
    """Return the Koppen-Geiger group A..E of a class 1..30."""
    return next(letter for letter, last in (("A", 3), ("B", 7), ("C", 16), ("D", 28), ("E", 30)) if climate <= last)


def _ground(draw: ImageDraw.ImageDraw, scene: Scene, size: int) -> None:
    """Draw the ground: coloured by climate and soil, dry without rain, white with snow."""
    colour = mix(GROUNDS[group(scene.climate)], (176, 96, 58), 0.22 * (1 + scene.soil))
    colour = mix(colour, (196, 178, 104), 0.5 * np.clip(1 - scene.rain_mm / 60, 0, 1) * (group(scene.climate) != "B"))
    colour = mix(colour, (242, 245, 250), np.clip((1 - scene.temperature_c) / 6, 0, 0.95))
    top = round(size * HORIZON)
    for y in range(top, size):
        draw.line(
            [(0, y), (size, y)], fill=mix(mix(colour, (170, 180, 190), 0.35), colour, (y - top) / (size - top) * 2)
        )


def _houses(draw: ImageDraw.ImageDraw, scene: Scene, size: int, rng: np.random.Generator) -> None:
    """Draw a row of houses: more and higher with population density; walls, roofs and windows by country."""
    crowd = np.clip(np.log1p(scene.population_per_km2) / np.log(6000), 0, 1)
    share = scene.country / scene.countries
    wall, roof = hue(share, 0.42, 0.92), hue(share + 0.37, 0.75, 0.62)
    base = size * (HORIZON + 0.07)
    for _ in range(round(12 * crowd**1.5)):
        width = size * rng.uniform(0.07, 0.11)
        height = width * (0.7 + 3.2 * crowd**3 * rng.uniform(0.4, 1))
        x = size * (rng.uniform(-0.02, 0.36) if rng.random() < 0.5 else rng.uniform(0.6, 0.95))
        draw.rectangle([x, base - height, x + width, base], fill=wall)
        _roof(draw, scene.country % 4, x, base - height, width, roof)
        pane = width / 5
        for floor in range(max(1, int(height / (width * 0.7)))):
            for column in (0.2, 0.6):
                left, top = x + column * width, base - height + width * (0.15 + 0.7 * floor)
                box = [left, top, left + pane, top + pane * (1.6 if scene.country % 3 else 1)]
                (draw.ellipse if scene.country % 3 == 1 else draw.rectangle)(box, fill=(58, 66, 86))


def _roof(draw: ImageDraw.ImageDraw, style: int, x: float, y: float, width: float, colour: Colour) -> None:
    """Draw a roof in one of four styles: gable, flat, dome, stepped."""
    if style == 0:
        draw.polygon([(x - width * 0.1, y), (x + width / 2, y - width * 0.6), (x + width * 1.1, y)], fill=colour)
    elif style == 1:
        draw.rectangle([x - width * 0.08, y - width * 0.14, x + width * 1.08, y], fill=colour)
    elif style == 2:
        draw.pieslice([x, y - width / 2, x + width, y + width / 2], 180, 360, fill=colour)
    else:
        for step in range(3):
            inset = width * (0.17 * step - 0.1)
            draw.rectangle(
                [x + inset, y - width * 0.18 * (step + 1), x + width - inset, y - width * 0.18 * step], fill=colour
            )


def _road(draw: ImageDraw.ImageDraw, scene: Scene, size: int) -> None:
    """Draw a road to the horizon; colour and dashes of the centre line by country."""
    top, middle = size * (HORIZON + 0.03), size * 0.5
    draw.polygon([(middle - size * 0.02, top), (middle + size * 0.02, top), (size * 0.86, size), (size * 0.14, size)],
                 fill=mix((96, 96, 100), (150, 130, 110), 0.5 * (scene.population_per_km2 < 15)))  # fmt: skip
    paint = ((240, 240, 240), (246, 200, 40))[scene.country % 2]
    dashes = 4 + 3 * (scene.country // 2 % 3)
    for dash in range(dashes):
        start, end = (dash / dashes) ** 2, ((dash + 0.55) / dashes) ** 2
        y0, y1 = top + (size - top) * start, top + (size - top) * end
        wide0, wide1 = size * 0.012 * (start + 0.1), size * 0.012 * (end + 0.1)
        draw.polygon(
            [(middle - wide0, y0), (middle + wide0, y0), (middle + wide1, y1), (middle - wide1, y1)], fill=paint
        )


def _cars(draw: ImageDraw.ImageDraw, scene: Scene, size: int, rng: np.random.Generator) -> None:
    """Draw a car that drives away on its own side, and an oncoming one on the other side with headlights on."""
    own = -1 if scene.drives_on_left else 1
    for side, lamp, depth in (
        (own, (220, 30, 30), rng.uniform(0.35, 0.6)),
        (-own, (255, 250, 190), rng.uniform(0.12, 0.3)),
    ):
        if rng.random() < 0.15:
            continue
        y = size * (HORIZON + 0.03 + (1 - HORIZON - 0.03) * depth)
        x, width = size * (0.5 + side * 0.19 * (depth + 0.08)), size * 0.26 * (depth + 0.08)
        body = hue(rng.random(), 0.55, 0.75)
        draw.rectangle([x - width / 2, y - width * 0.5, x + width / 2, y], fill=body)
        draw.rectangle(
            [x - width * 0.36, y - width * 0.86, x + width * 0.36, y - width * 0.5], fill=mix(body, (40, 50, 70), 0.6)
        )
        for at in (-0.36, 0.36):
            radius = width * 0.11
            centre = x + at * width
            draw.ellipse([centre - radius, y - width * 0.36, centre + radius, y - width * 0.14], fill=lamp)


def _flowers(draw: ImageDraw.ImageDraw, scene: Scene, size: int, rng: np.random.Generator) -> None:
    """Draw flowers beside the road and in the meadows; their colour tells the month after midwinter."""
    colour = hue(np.floor(scene.year_phase * 12) / 12, 0.75, 0.95)
    for way in (-1, 1):
        near, far = [(0.5 + way * edge) * size for edge in (0.36, 0.47)]
        verge = [(size * (0.5 + way * 0.02), size * (HORIZON + 0.03)), (near, size), (far, size)]
        draw.polygon(verge, fill=mix(colour, GROUNDS[group(scene.climate)], 0.35))
    for x, depth in rng.random((32, 2)):
        y, radius = size * (HORIZON + 0.1 + (0.9 - HORIZON) * depth), size * (0.008 + 0.016 * depth)
        draw.ellipse([x * size - radius, y - radius, x * size + radius, y + radius], fill=colour)


def _leaves(scene: Scene) -> Colour | None:
    """Return the colour of broad leaves: bright in spring, dark in summer, red in autumn; None in winter."""
    if scene.warm_season < 0.2:
        return None
    if scene.warm_season > 0.8:
        return (44, 104, 40)
    return (150, 204, 78) if scene.year_phase < 0.5 else (214, 112, 36)


def _plants(draw: ImageDraw.ImageDraw, scene: Scene, size: int, rng: np.random.Generator) -> None:
    """Draw the plants of the climate group; more with rain, fewer with population density."""
    kind = group(scene.climate)
    crowd = np.clip(np.log1p(scene.population_per_km2) / np.log(6000), 0, 1)
    count = round((3 + 9 * np.clip(scene.rain_mm / 120, 0, 1)) * (1 - 0.6 * crowd) * (0.5 if kind in "BE" else 1))
    for depth in np.sort(rng.uniform(0.02, 0.55, count)):
        left = rng.random() < 0.5
        x = size * (0.5 + (-1 if left else 1) * (0.1 + 0.36 * depth + rng.uniform(0.02, 0.36)))
        y, height = size * (HORIZON + 0.04 + 0.42 * depth), size * (0.1 + 0.34 * depth)
        _plant(draw, scene, kind, x, y, height, rng)


def _plant(
    draw: ImageDraw.ImageDraw, scene: Scene, kind: str, x: float, y: float, height: float, rng: np.random.Generator
) -> None:
    """Draw a palm (A), cactus (B), broad-leaved tree (C), fir (D) or shrub (E) with its foot at (x, y)."""
    trunk, thin = (104, 76, 52), max(1, round(height * 0.07))
    if kind == "A":
        top = (x + height * rng.uniform(-0.1, 0.1), y - height)
        draw.line([(x, y), top], fill=trunk, width=thin)
        for angle in np.linspace(-0.4, np.pi + 0.4, 7):
            tip = (top[0] + np.cos(angle) * height * 0.4, top[1] - np.sin(angle) * height * 0.22 + height * 0.06)
            draw.line([top, tip], fill=(38, 128, 48), width=thin + 1)
    elif kind == "B":
        draw.line([(x, y), (x, y - height * 0.55)], fill=(86, 124, 70), width=thin * 2)
        for way in (-1, 1):
            elbow = (x + way * height * 0.16, y - height * 0.28)
            draw.line(
                [(x, y - height * 0.28), elbow, (elbow[0], y - height * 0.45)], fill=(86, 124, 70), width=thin + 1
            )
    elif kind == "C":
        draw.line([(x, y), (x, y - height * 0.7)], fill=trunk, width=thin)
        leaves = _leaves(scene)
        if leaves:
            draw.ellipse([x - height * 0.3, y - height, x + height * 0.3, y - height * 0.35], fill=leaves)
        else:
            for twig in (-0.25, -0.1, 0.12, 0.27):
                draw.line(
                    [(x, y - height * 0.5), (x + twig * height, y - height * 0.95)], fill=trunk, width=max(1, thin // 2)
                )
    elif kind == "D":
        colour = mix((34, 82, 58), (240, 244, 250), 0.5 * (scene.temperature_c < -2))
        leaves = _leaves(scene)
        if rng.random() < 0.35 and leaves:
            colour = leaves
        for step in range(3):
            base, wide = y - height * (0.1 + 0.27 * step), height * (0.28 - 0.07 * step)
            draw.polygon([(x - wide, base), (x + wide, base), (x, base - height * 0.38)], fill=colour)
    else:
        colour = mix((120, 112, 84), (236, 240, 246), np.clip(-scene.temperature_c / 10, 0, 0.8))
        draw.pieslice([x - height * 0.2, y - height * 0.16, x + height * 0.2, y + height * 0.16], 180, 360, fill=colour)


def _sign(draw: ImageDraw.ImageDraw, scene: Scene, size: int, rng: np.random.Generator) -> None:
    """Draw a road sign: shape and colour by country, colour of its band by region."""
    if rng.random() < 0.12:
        return
    x, y, radius = size * rng.uniform(0.1, 0.22), size * rng.uniform(0.56, 0.64), size * 0.085
    if rng.random() < 0.5:
        x = size - x
    share = scene.country / scene.countries
    ground, band = hue(share + 0.08, 0.85, 0.85), hue(scene.region / 5 + 0.55, 0.9, 0.95)
    draw.line([(x, y), (x, y + size * 0.22)], fill=(90, 90, 96), width=max(2, size // 60))
    corners = (3, 4, 6, 30)[scene.country // 3 % 4]
    turn = np.pi / corners * (corners == 4) - np.pi / 2
    angles = turn + 2 * np.pi * np.arange(corners) / corners
    for reach, colour in ((1.18, (250, 250, 250)), (1.0, ground)):
        draw.polygon([(x + reach * radius * np.cos(a), y + reach * radius * np.sin(a)) for a in angles], fill=colour)
    draw.rectangle([x - radius * 0.62, y - radius * 0.28, x + radius * 0.62, y + radius * 0.28], fill=band)
