"""Compiled functions of raster look-ups: points group_by_block by block, and the search for the nearest valid pixel."""

import numpy as np

from homing.labels.borders import haversine
from homing.labels.exact import compiled
from homing.sphere import EARTH_RADIUS_KM, KM_PER_DEGREE


@compiled
def group_by_block(row, column, height, width, block_height, block_width):
    """Return the order of points by their block of `block_height` x `block_width` pixels, and the offset of each block.

    Points outside the raster are in the nearest block.
    """
    across, down = -(-width // block_width), -(-height // block_height)
    block = np.empty(len(row), dtype=np.int32)
    starts = np.zeros(across * down + 1, dtype=np.int64)
    for point in range(len(row)):
        own_row, own_column = min(max(row[point], 0), height - 1), min(max(column[point], 0), width - 1)
        block[point] = own_row // block_height * across + own_column // block_width
        starts[block[point] + 1] += 1
    starts = np.cumsum(starts)
    order, slot = np.empty(len(row), dtype=np.int64), starts[:-1].copy()
    for point in range(len(row)):
        order[slot[block[point]]] = point
        slot[block[point]] += 1
    return order, starts


@compiled
def nearest_valid(latitude, longitude, value, distance, pixels, top, left, row_latitude, row_west, row_step):
    """Update `value` and `distance` (km) of each point whose nearest valid pixel in a window is nearer than `distance`.

    pixels: the window, NaN where invalid; top, left: its first row and column in the raster. row_latitude, row_west,
    row_step (height,): latitude of each row's pixel centres, longitude of its western end, width of its pixels in
    degrees. Rows are visited from the point's row outwards, and columns likewise, as far as the best distance. Of
    equally near pixels the one in the first row counts, then the one in the first column.
    """
    rows, columns = pixels.shape
    for point in range(len(latitude)):
        y, x = latitude[point], longitude[point]
        best, best_row, best_column = distance[point], -1, -1
        own_row = 0
        for row in range(1, rows):
            if abs(row_latitude[top + row] - y) < abs(row_latitude[top + own_row] - y):
                own_row = row
        for outward in range(rows):
            reached = False
            for side in range(1 if outward == 0 else 2):
                row = own_row - outward if side == 0 else own_row + outward
                if not 0 <= row < rows:
                    continue
                row_centre = row_latitude[top + row]
                if not abs(row_centre - y) * KM_PER_DEGREE <= best + 1e-9:
                    continue
                reached = True
                centre = (x - row_west[top + row]) / row_step[top + row] - 0.5 - left  # fractional column at x
                half_width = _half_width(best, y, row_centre) / abs(row_step[top + row])
                for direction in (-1, 1):
                    column = int(np.floor(centre)) if direction < 0 else int(np.floor(centre)) + 1
                    column = min(column, columns - 1) if direction < 0 else max(column, 0)
                    while 0 <= column < columns and abs(column - centre) <= half_width:
                        if not np.isnan(pixels[row, column]):
                            pixel_longitude = row_west[top + row] + (left + column + 0.5) * row_step[top + row]
                            found = haversine(y, x, row_centre, pixel_longitude)
                            better = found < best or (
                                found == best and (best_row < 0 or (row, column) < (best_row, best_column))
                            )
                            if better:
                                best, best_row, best_column = found, row, column
                            break
                        column += direction
            if not reached:
                break
        if best_row >= 0:
            value[point], distance[point] = pixels[best_row, best_column], best


@compiled
def _half_width(distance, latitude, other):
    """Return an upper bound of the degrees of longitude between points on two parallels this far apart (km)."""
    up = np.sin(np.radians(other - latitude) / 2) ** 2
    shrink = np.cos(np.radians(latitude)) * np.cos(np.radians(other))
    rest = np.sin(min(distance / EARTH_RADIUS_KM, np.pi) / 2) ** 2 - up
    if rest <= 0:
        return 1e-9
    if rest >= shrink:
        return 180.0 + 1e-9
    return np.degrees(2 * np.arcsin(np.sqrt(rest / shrink))) + 1e-9
