"""The compiled search for the nearest border: cells of the grid from the point outwards, until none can be nearer."""

import numpy as np

from homing.labels.cells import PAD, interval
from homing.labels.exact import compiled
from homing.sphere import EARTH_RADIUS_KM, KM_PER_DEGREE

SAME_KM = 1e-9  # neighbours share their border; differences of rounding decide nothing


@compiled
def nearest_borders(x, y, limit, longitudes, latitudes, label, cover, first, area, holds_corner, begin, edge, vertex):
    """Number of the area whose border is nearest, -1 beyond the limit, its distance in km, and where it is nearest."""
    found = np.full(len(x), -1, dtype=np.int32)
    away = np.full(len(x), np.nan)
    place = np.full((len(x), 2), np.nan)
    if len(longitudes) < 2:
        return found, away, place
    for point in range(len(x)):
        best, owner = limit, -1
        at_x, at_y = x[point], y[point]
        for turn in (0.0, -360.0, 360.0):
            best, owner, at_x, at_y = _search(
                x[point] + turn, y[point], best, owner, at_x, at_y, longitudes, latitudes, label, first, area, begin,
                edge, vertex,
            )  # fmt: skip
        if owner >= 0:
            found[point], away[point] = owner, best
            place[point, 0], place[point, 1] = at_x, at_y
    return found, away, place


@compiled
def _search(px, py, best, owner, at_x, at_y, longitudes, latitudes, label, first, area, begin, edge, vertex):
    """The same for one point, given the best distance so far and its area (-1: none yet, the distance is the limit).

    Rows are visited from the point's outwards, and the cells of a row likewise; all beyond the best distance are left.
    """
    columns, rows = len(longitudes) - 1, len(latitudes) - 1
    wide = _half_width(best, py)
    if px + wide < longitudes[0] or px - wide > longitudes[columns]:
        return best, owner, at_x, at_y
    own_row, own_column = interval(py, latitudes), interval(px, longitudes)
    for away in range(rows):
        reached = False
        for row in (own_row - away, own_row + away):
            if not 0 <= row < rows or (away == 0 and reached):
                continue
            if max(latitudes[row] - py, py - latitudes[row + 1]) * KM_PER_DEGREE > best + SAME_KM:
                continue
            reached = True
            wide = _half_width(best, py)
            for direction in (-1, 1):
                column = own_column if direction < 0 else own_column + 1
                while 0 <= column < columns:
                    gap = px - longitudes[column + 1] if direction < 0 else longitudes[column] - px
                    if gap > wide:
                        break
                    mixed = -2 - label[row * columns + column]
                    if mixed >= 0:
                        before = best
                        best, owner, at_x, at_y = _nearest_in_cell(
                            px, py, best, owner, at_x, at_y, longitudes[column], longitudes[column + 1],
                            latitudes[row], latitudes[row + 1], first[mixed], first[mixed + 1], area, begin, edge,
                            vertex,
                        )  # fmt: skip
                        if best < before:
                            wide = _half_width(best, py)
                    column += direction
        if not reached and away > 0:
            break
    return best, owner, at_x, at_y


@compiled
def _half_width(distance, latitude):
    """Degrees of longitude that a circle of this radius (km) reaches on either side of its centre, generously."""
    angle = distance / EARTH_RADIUS_KM
    if np.radians(abs(latitude)) + angle >= 0.5 * np.pi:
        return 360.0
    return np.degrees(np.arcsin(np.sin(angle) / np.cos(np.radians(latitude)))) + PAD


@compiled
def _nearest_in_cell(
    px, py, best, owner, at_x, at_y, west, east, south, north, first, last, area, begin, edge, vertex
):  # fmt: skip
    for entry in range(first, last):
        for place in range(begin[entry], begin[entry + 1]):
            start, end = vertex[edge[place]], vertex[edge[place] + 1]
            away, along = _nearest_on_edge(px, py, start, end, west, east, south, north)
            if away < best - SAME_KM or (away <= best + SAME_KM and (owner < 0 or area[entry] < owner)):
                best, owner = min(best, away), area[entry]
                at_x, at_y = start[0] + along * (end[0] - start[0]), start[1] + along * (end[1] - start[1])
    return best, owner, at_x, at_y


@compiled
def _nearest_on_edge(px, py, start, end, west, east, south, north):
    """Distance on the sphere to the part of an edge that lies in a cell, and the share of the edge at which it is
    nearest; infinite where no part does.

    Along so short a piece the squared distance is nearly a parabola: its lowest place is taken, and once more from
    three places close to it.
    """
    ax, ay = start[0], start[1]
    dx, dy = end[0] - ax, end[1] - ay
    low, high = 0.0, 1.0
    for origin, change, least, most in ((ax, dx, west - PAD, east + PAD), (ay, dy, south - PAD, north + PAD)):
        if change == 0:
            if origin < least or origin > most:
                return np.inf, 0.0
            continue
        one, two = (least - origin) / change, (most - origin) / change
        low, high = max(low, min(one, two)), min(high, max(one, two))
    if low > high:
        return np.inf, 0.0
    along, step = 0.5 * (low + high), 0.5 * (high - low)
    shrink = np.cos(np.radians(py))
    for _ in range(3):
        before = _chord(py, px, ay + (along - step) * dy, ax + (along - step) * dx, shrink)
        here = _chord(py, px, ay + along * dy, ax + along * dx, shrink)
        after = _chord(py, px, ay + (along + step) * dy, ax + (along + step) * dx, shrink)
        bend = before - 2 * here + after
        if bend > 0:
            along += 0.5 * step * (before - after) / bend
        elif before != after:
            along += step if after < before else -step
        along = min(max(along, low), high)
        step *= 0.125
    return haversine(py, px, ay + along * dy, ax + along * dx), along


@compiled
def haversine(first_latitude, first_longitude, latitude, longitude):
    """Great-circle distance in km between two places in degrees; `sphere.haversine_km` for compiled code."""
    shrink = np.cos(np.radians(first_latitude))
    chord = _chord(first_latitude, first_longitude, latitude, longitude, shrink)
    return 2 * EARTH_RADIUS_KM * np.arcsin(min(1.0, np.sqrt(chord)))


@compiled
def _chord(first_latitude, first_longitude, latitude, longitude, shrink):
    """Square of half the chord; `shrink`: cosine of the first latitude."""
    up = np.sin(np.radians(latitude - first_latitude) / 2)
    across = np.sin(np.radians(longitude - first_longitude) / 2)
    return up * up + shrink * np.cos(np.radians(latitude)) * across * across
