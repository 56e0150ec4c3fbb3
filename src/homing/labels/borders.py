"""Compiled search for the nearest border: grid cells from the point outwards, until no cell can be nearer."""

import numpy as np

from homing.labels.cells import PAD, interval
from homing.labels.exact import compiled
from homing.sphere import EARTH_RADIUS_KM, KM_PER_DEGREE

SAME_KM = 1e-9  # neighbours share their border; rounding must not decide between them


@compiled
def nearest_borders(x, y, limit, longitudes, latitudes, label, cover, first, area, holds_corner, begin, edge, vertex):
    """Return the area with the nearest border (-1 beyond the limit), its distance in km, and the nearest point (n, 2).

    Nearest points are (longitude, latitude). The arrays are those of `Grid`.
    """
    found = np.full(len(x), -1, dtype=np.int32)
    distance = np.full(len(x), np.nan)
    nearest = np.full((len(x), 2), np.nan)
    if len(longitudes) < 2:
        return found, distance, nearest
    for point in range(len(x)):
        best, owner = limit, -1
        at_x, at_y = x[point], y[point]
        for shift in (0.0, -360.0, 360.0):
            best, owner, at_x, at_y = _search_one(
                x[point] + shift, y[point], best, owner, at_x, at_y, longitudes, latitudes, label, first, area, begin,
                edge, vertex,
            )  # fmt: skip
        if owner >= 0:
            found[point], distance[point] = owner, best
            nearest[point, 0], nearest[point, 1] = at_x, at_y
    return found, distance, nearest


@compiled
def _search_one(px, py, best, owner, at_x, at_y, longitudes, latitudes, label, first, area, begin, edge, vertex):
    """Search for one point, given the best distance so far and its area (-1: none yet, the distance is the limit).

    Rows are visited from the point's row outwards, and the cells of a row likewise, as far as the best distance.
    """
    columns, rows = len(longitudes) - 1, len(latitudes) - 1
    half_width = _half_width(best, py)
    if px + half_width < longitudes[0] or px - half_width > longitudes[columns]:
        return best, owner, at_x, at_y
    own_row, own_column = interval(py, latitudes), interval(px, longitudes)
    for ring in range(rows):
        reached = False
        for row in (own_row - ring, own_row + ring):
            if not 0 <= row < rows or (ring == 0 and reached):
                continue
            if max(latitudes[row] - py, py - latitudes[row + 1]) * KM_PER_DEGREE > best + SAME_KM:
                continue
            reached = True
            half_width = _half_width(best, py)
            for direction in (-1, 1):
                column = own_column if direction < 0 else own_column + 1
                while 0 <= column < columns:
                    gap = px - longitudes[column + 1] if direction < 0 else longitudes[column] - px
                    if gap > half_width:
                        break
                    mixed = -2 - label[row * columns + column]
                    if mixed >= 0:
                        previous = best
                        best, owner, at_x, at_y = _nearest_in_cell(
                            px, py, best, owner, at_x, at_y, longitudes[column], longitudes[column + 1],
                            latitudes[row], latitudes[row + 1], first[mixed], first[mixed + 1], area, begin, edge,
                            vertex,
                        )  # fmt: skip
                        if best < previous:
                            half_width = _half_width(best, py)
                    column += direction
        if not reached and ring > 0:
            break
    return best, owner, at_x, at_y


@compiled
def _half_width(distance, latitude):
    """Return an upper bound of the degrees of longitude that a circle of this radius (km) spans beside its centre."""
    angle = distance / EARTH_RADIUS_KM
    if np.radians(abs(latitude)) + angle >= 0.5 * np.pi:
        return 360.0
    return np.degrees(np.arcsin(np.sin(angle) / np.cos(np.radians(latitude)))) + PAD


@compiled
def _nearest_in_cell(
    px, py, best, owner, at_x, at_y, west, east, south, north, first, last, area, begin, edge, vertex
):  # fmt: skip
    """Update the best distance, its area and the nearest point with the edges in one cell."""
    for entry in range(first, last):
        for number in range(begin[entry], begin[entry + 1]):
            start, end = vertex[edge[number]], vertex[edge[number] + 1]
            distance, along = _nearest_on_edge(px, py, start, end, west, east, south, north)
            if distance < best - SAME_KM or (distance <= best + SAME_KM and (owner < 0 or area[entry] < owner)):
                best, owner = min(best, distance), area[entry]
                at_x, at_y = start[0] + along * (end[0] - start[0]), start[1] + along * (end[1] - start[1])
    return best, owner, at_x, at_y


@compiled
def _nearest_on_edge(px, py, start, end, west, east, south, north):
    """Return the distance in km to the part of an edge inside a cell, and the nearest point as a share of the edge.

    The distance is infinite if no part of the edge is in the cell. Along such a short piece the squared chord is nearly
    a parabola: three steps of successive parabolic interpolation find its minimum.
    """
    ax, ay = start[0], start[1]
    dx, dy = end[0] - ax, end[1] - ay
    low, high = 0.0, 1.0
    for origin, change, low_bound, high_bound in ((ax, dx, west - PAD, east + PAD), (ay, dy, south - PAD, north + PAD)):
        if change == 0:
            if origin < low_bound or origin > high_bound:
                return np.inf, 0.0
            continue
        one, two = (low_bound - origin) / change, (high_bound - origin) / change
        low, high = max(low, min(one, two)), min(high, max(one, two))
    if low > high:
        return np.inf, 0.0
    along, step = 0.5 * (low + high), 0.5 * (high - low)
    first_cosine = np.cos(np.radians(py))
    for _ in range(3):
        lower = _half_chord_squared(py, px, ay + (along - step) * dy, ax + (along - step) * dx, first_cosine)
        here = _half_chord_squared(py, px, ay + along * dy, ax + along * dx, first_cosine)
        upper = _half_chord_squared(py, px, ay + (along + step) * dy, ax + (along + step) * dx, first_cosine)
        curvature = lower - 2 * here + upper
        if curvature > 0:
            along += 0.5 * step * (lower - upper) / curvature
        elif lower != upper:
            along += step if upper < lower else -step
        along = min(max(along, low), high)
        step *= 0.125
    return haversine(py, px, ay + along * dy, ax + along * dx), along


@compiled
def haversine(first_latitude, first_longitude, latitude, longitude):
    """Return the great-circle distance in km between two points in degrees; `sphere.haversine_km` for compiled code."""
    first_cosine = np.cos(np.radians(first_latitude))
    chord = _half_chord_squared(first_latitude, first_longitude, latitude, longitude, first_cosine)
    return 2 * EARTH_RADIUS_KM * np.arcsin(min(1.0, np.sqrt(chord)))


@compiled
def _half_chord_squared(first_latitude, first_longitude, latitude, longitude, first_cosine):
    """Return the square of half the chord between two points. first_cosine: cosine of the first latitude."""
    up = np.sin(np.radians(latitude - first_latitude) / 2)
    across = np.sin(np.radians(longitude - first_longitude) / 2)
    return up * up + first_cosine * np.cos(np.radians(latitude)) * across * across
