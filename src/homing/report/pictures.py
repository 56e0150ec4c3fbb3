"""World maps of millions of points, as PNG images."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from homing.labels.grid import Grid
from homing.report.maps import NORTH, SOUTH

PIXELS_PER_DEGREE = 4  # of a picture
SQUARE = 2  # pixels: half a degree
LAND, BORDER = (125, 140, 135, 70), (125, 140, 135, 130)  # RGBA, for light and dark pages
COLOURS = ("#d99a00", "#d9702b", "#c2403a", "#98265c", "#6c1f78")  # ordered by lightness, so that they need no hue


def shaded_map(
    grid: Grid,
    country: np.ndarray,
    latitude: np.ndarray,
    longitude: np.ndarray,
    values: np.ndarray | None,
    steps: Sequence[float],
) -> str:
    """Draw the countries, and squares of half a degree coloured by the points in them. Return a data URI.

    `country` is the country of each area of the grid, (areas,). A square shows the largest of its `values`, or its
    number of points without `values`; `steps` has the lowest value of each of at most five colours.
    """
    picture = _land(grid, country)
    row = np.floor((NORTH - latitude) * PIXELS_PER_DEGREE / SQUARE).astype(int)
    column = np.floor((longitude + 180) * PIXELS_PER_DEGREE / SQUARE).astype(int)
    height, width = picture.shape[0] // SQUARE, picture.shape[1] // SQUARE
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    squares = np.full((height, width), -np.inf)
    if values is None:
        counts = np.bincount(row * width + column, minlength=height * width).reshape(height, width)
        squares = np.where(counts > 0, counts, -np.inf)
    else:
        np.maximum.at(squares, (row, column), values)
    squares = squares.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)
    for step, colour in zip(steps, COLOURS, strict=False):
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        picture[squares >= step] = (red, green, blue, 255)
    output = io.BytesIO()
    Image.fromarray(picture, "RGBA").quantize(32).save(output, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(output.getvalue()).decode("ascii")


def _land(grid: Grid, country: np.ndarray) -> np.ndarray:
    """Return pixels (height, width, 4) of the land with borders between countries; the sea is transparent."""
    height, width = round((NORTH - SOUTH) * PIXELS_PER_DEGREE), 360 * PIXELS_PER_DEGREE
    latitude = NORTH - (np.arange(height) + 0.5) / PIXELS_PER_DEGREE
    longitude = (np.arange(width) + 0.5) / PIXELS_PER_DEGREE - 180
    area = grid.locate(np.repeat(latitude, width), np.tile(longitude, height)).reshape(height, width)
    owner = np.where(area >= 0, np.append(country, -1)[area], -1)
    picture = np.zeros((height, width, 4), dtype=np.uint8)
    picture[owner >= 0] = LAND
    border = np.zeros_like(owner, dtype=bool)
    border[1:] |= owner[1:] != owner[:-1]
    border[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    picture[border & (owner >= 0)] = BORDER
    return picture
