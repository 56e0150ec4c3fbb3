"""The compiled half of raster look-ups: points grouped by block, and the search for the nearest valid pixel."""

import numpy as np

from homing.labels.borders import haversine
from homing.labels.exact import compiled
from homing.sphere import EARTH_RADIUS_KM, KM_PER_DEGREE


@compiled
def grouped(row, column, height, width, tall, wide):
    """Order of points by the block of `tall` x `wide` pixels that holds them, and where each block's points begin."""
    across, down = -(-width // wide), -(-height // tall)
    block = np.empty(len(row), dtype=np.int32)
    starts = np.zeros(across * down + 1, dtype=np.int64)
    for point in range(len(row)):
        own_row, own_column = min(max(row[point], 0), height - 1), min(max(column[point], 0), width - 1)
        block[point] = own_row // tall * across + own_column // wide
        starts[block[point] + 1] += 1
    starts = np.cumsum(starts)
    order, place = np.empty(len(row), dtype=np.int64), starts[:-1].copy()
    for point in range(len(row)):
        order[place[block[point]]] = point
        place[block[point]] += 1
    return order, starts


@compiled
def nearest_valid(latitude, longitude, value, away, pixels, top, left, middles, west, step):
    """Lower `away` (km) and set `value` where a pixel of the window, not NaN, has its centre nearer than that.

    `middles`, `west`, `step` (height,): latitude of each row's centres, longitude of its western end, width of its
    pixels. Rows are visited from the point's outwards, and each row's columns likewise, as far as the best distance
    reaches; of equally near pixels the northernmost counts, then the westernmost.
    """
    rows, columns = pixels.shape
    for point in range(len(latitude)):
        y, x = latitude[point], longitude[point]
        best, best_row, best_column = away[point], -1, -1
        own_row = 0
        for row in range(1, rows):
            if abs(middles[top + row] - y) < abs(middles[top + own_row] - y):
                own_row = row
        for outward in range(rows):
            reached = False
            for side in range(1 if outward == 0 else 2):
                row = own_row - outward if side == 0 else own_row + outward
                if not 0 <= row < rows:
                    continue
                middle = middles[top + row]
                if not abs(middle - y) * KM_PER_DEGREE <= best + 1e-9:
                    continue
                reached = True
                centre = (x - west[top + row]) / step[top + row] - 0.5 - left  # the column whose centre lies at x
                wide = _half_width(best, y, middle) / abs(step[top + row])
                for direction in (-1, 1):
                    column = int(np.floor(centre)) if direction < 0 else int(np.floor(centre)) + 1
                    column = min(column, columns - 1) if direction < 0 else max(column, 0)
                    while 0 <= column < columns and abs(column - centre) <= wide:
                        if not np.isnan(pixels[row, column]):
                            longitude_there = west[top + row] + (left + column + 0.5) * step[top + row]
                            found = haversine(y, x, middle, longitude_there)
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
            value[point], away[point] = pixels[best_row, best_column], best


@compiled
def _half_width(distance, latitude, other):
    """Degrees of longitude between places this far apart (km) on two parallels, generously."""
    up = np.sin(np.radians(other - latitude) / 2) ** 2
    shrink = np.cos(np.radians(latitude)) * np.cos(np.radians(other))
    rest = np.sin(min(distance / EARTH_RADIUS_KM, np.pi) / 2) ** 2 - up
    if rest <= 0:
        return 1e-9
    if rest >= shrink:
        return 180.0 + 1e-9
    return np.degrees(2 * np.arcsin(np.sqrt(rest / shrink))) + 1e-9
