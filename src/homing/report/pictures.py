"""World maps of millions of points, as pictures."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from homing.labels.grid import Grid
from homing.report.maps import NORTH, SOUTH

PIXELS_PER_DEGREE = 4  # of a picture
DOT = 2  # pixels: half a degree
LAND, BORDER = (125, 140, 135, 70), (125, 140, 135, 130)  # as good on a light page as on a dark one
COLOURS = ("#d99a00", "#d9702b", "#c2403a", "#98265c", "#6c1f78")  # darker, not only of another hue, from step to step


def shaded_map(
    grid: Grid,
    country: np.ndarray,
    latitude: np.ndarray,
    longitude: np.ndarray,
    values: np.ndarray | None,
    steps: Sequence[float],
) -> str:
    """A picture, as a data URI: the land and its countries, and squares of half a degree coloured by what is in them.

    `country` is that of each area of the grid, (areas,). Without `values` a square tells how many points it holds, else
    the highest of them; `steps` are the lowest values of each of at most five colours.
    """
    picture = _land(grid, country)
    row = np.floor((NORTH - latitude) * PIXELS_PER_DEGREE / DOT).astype(int)
    column = np.floor((longitude + 180) * PIXELS_PER_DEGREE / DOT).astype(int)
    height, width = picture.shape[0] // DOT, picture.shape[1] // DOT
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    squares = np.full((height, width), -np.inf)
    if values is None:
        counts = np.bincount(row * width + column, minlength=height * width).reshape(height, width)
        squares = np.where(counts > 0, counts, -np.inf)
    else:
        np.maximum.at(squares, (row, column), values)
    squares = squares.repeat(DOT, axis=0).repeat(DOT, axis=1)
    for step, colour in zip(steps, COLOURS, strict=False):
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        picture[squares >= step] = (red, green, blue, 255)
    output = io.BytesIO()
    Image.fromarray(picture, "RGBA").quantize(32).save(output, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(output.getvalue()).decode("ascii")


def _land(grid: Grid, country: np.ndarray) -> np.ndarray:
    """Pixels (height, width, 4) of the land, with lines between its countries; the sea is transparent."""
    height, width = round((NORTH - SOUTH) * PIXELS_PER_DEGREE), 360 * PIXELS_PER_DEGREE
    latitude = NORTH - (np.arange(height) + 0.5) / PIXELS_PER_DEGREE
    longitude = (np.arange(width) + 0.5) / PIXELS_PER_DEGREE - 180
    area = grid.locate(np.repeat(latitude, width), np.tile(longitude, height)).reshape(height, width)
    own = np.where(area >= 0, np.append(country, -1)[area], -1)
    picture = np.zeros((height, width, 4), dtype=np.uint8)
    picture[own >= 0] = LAND
    border = np.zeros_like(own, dtype=bool)
    border[1:] |= own[1:] != own[:-1]
    border[:, 1:] |= own[:, 1:] != own[:, :-1]
    picture[border & (own >= 0)] = BORDER
    return picture
