"""The compiled half of the grid: which cells an edge passes, which corners an area holds, which area holds a point."""

import numpy as np

from homing.labels.exact import compiled, is_above, is_right, side

PAD = 1e-9  # degrees; an edge that close to a cell counts as in it


@compiled
def meets(latitudes, vertex):
    for number in range(len(vertex)):
        row = interval(vertex[number, 1], latitudes)
        if vertex[number, 1] == latitudes[row]:
            return True
    return False


@compiled
def interval(value, lines):
    """Number of the interval [lines[i], lines[i + 1]) that holds `value`, within the lines; they are evenly spaced."""
    last = len(lines) - 2
    number = int((value - lines[0]) / (lines[last + 1] - lines[0]) * (last + 1))
    number = min(max(number, 0), last)
    while number > 0 and value < lines[number]:
        number -= 1
    while number < last and value >= lines[number + 1]:
        number += 1
    return number


@compiled
def _columns_in_row(ax, ay, bx, by, low, high, longitudes):
    """First and last column that an edge passes between two latitudes, generously."""
    if ay == by:
        west, east = min(ax, bx), max(ax, bx)
    else:
        slope = (bx - ax) / (by - ay)
        bottom, top = max(min(ay, by), low), min(max(ay, by), high)
        one, two = ax + (bottom - ay) * slope, ax + (top - ay) * slope
        west, east = max(min(one, two), min(ax, bx)), min(max(one, two), max(ax, bx))
    return interval(west - PAD, longitudes), interval(east + PAD, longitudes)


@compiled
def _corners(begin, end, rings, vertex, longitudes, latitudes, turns):
    """Where the border of one area passes the grid's latitudes: corners in order; from each on, in turn, in and out."""
    columns = len(longitudes) - 1
    count = 0
    for ring in range(begin, end):
        for number in range(rings[ring], rings[ring + 1] - 1):
            ax, ay, bx, by = vertex[number, 0], vertex[number, 1], vertex[number + 1, 0], vertex[number + 1, 1]
            for row in range(interval(min(ay, by), latitudes) + 1, interval(max(ay, by), latitudes) + 1):
                height = latitudes[row]
                column = interval(ax + (height - ay) * ((bx - ax) / (by - ay)), longitudes)
                while column > 0 and is_right(ax, ay, bx, by, longitudes[column - 1], height):
                    column -= 1
                while column < columns and not is_right(ax, ay, bx, by, longitudes[column], height):
                    column += 1
                if count == len(turns):
                    turns = np.concatenate((turns, np.empty_like(turns)))
                turns[count] = row * (columns + 1) + column
                count += 1
    turns[:count].sort()
    return count, turns


@compiled
def build(longitudes, latitudes, vertex, rings, areas):
    """The arrays of `Grid` after its lines and before its vertices; `areas`: where the rings of each area begin."""
    cells = (len(longitudes) - 1) * (len(latitudes) - 1)
    label = np.full(cells, -1, dtype=np.int32)
    newest = np.full(cells, -1, dtype=np.int32)  # the newest entry of each cell
    size = max(1024, len(vertex) // 4)
    cell_of, area_of, edges_of = np.empty(size, np.int32), np.empty(size, np.int32), np.zeros(size, np.int32)
    corner_of = np.zeros(size, np.uint8)
    entries = 0
    columns = len(longitudes) - 1
    turns = np.empty(4096, dtype=np.int64)
    for area in range(len(areas) - 1):
        for ring in range(areas[area], areas[area + 1]):
            for number in range(rings[ring], rings[ring + 1] - 1):
                ax, ay, bx, by = vertex[number, 0], vertex[number, 1], vertex[number + 1, 0], vertex[number + 1, 1]
                for row in range(interval(min(ay, by) - PAD, latitudes), interval(max(ay, by) + PAD, latitudes) + 1):
                    west, east = _columns_in_row(ax, ay, bx, by, latitudes[row], latitudes[row + 1], longitudes)
                    for cell in range(row * columns + west, row * columns + east + 1):
                        entry = newest[cell]
                        if entry < 0 or area_of[entry] != area:
                            entry = entries
                            entries += 1
                            if entry == len(cell_of):
                                cell_of, area_of = _doubled(cell_of), _doubled(area_of)
                                edges_of, corner_of = _doubled(edges_of), _doubled(corner_of)
                            newest[cell], cell_of[entry], area_of[entry] = entry, cell, area
                        edges_of[entry] += 1
        count, turns = _corners(areas[area], areas[area + 1], rings, vertex, longitudes, latitudes, turns)
        for turn in range(0, count - 1, 2):
            row, column = turns[turn] // (columns + 1), turns[turn] % (columns + 1)
            for cell in range(row * columns + column, row * columns + turns[turn + 1] % (columns + 1)):
                entry = newest[cell]
                if entry >= 0 and area_of[entry] == area:
                    corner_of[entry] = 1
                elif label[cell] < 0:
                    label[cell] = area
    cover = _number_mixed_cells(label, newest)
    first = np.zeros(len(cover) + 1, dtype=np.int64)
    for entry in range(entries):
        first[-1 - label[cell_of[entry]]] += 1
    first = np.cumsum(first)
    # Entries are in the order of areas: bring them into that of cells, and give each its stretch of edges.
    place = first[:-1].copy()
    area, holds_corner = np.empty(entries, dtype=np.int32), np.empty(entries, dtype=np.uint8)
    begin = np.zeros(entries + 1, dtype=np.int64)
    for entry in range(entries):
        mixed = -2 - label[cell_of[entry]]
        there = place[mixed]
        place[mixed] += 1
        area[there], holds_corner[there], begin[there + 1] = area_of[entry], corner_of[entry], edges_of[entry]
    begin = np.cumsum(begin)
    edge = _edges(longitudes, latitudes, vertex, rings, areas, label, first, area, begin)
    return label, cover, first, area, holds_corner, begin, edge


@compiled
def _doubled(array):
    return np.concatenate((array, np.zeros_like(array)))


@compiled
def _number_mixed_cells(label, newest):
    """Put -2 - number into the label of each cell with entries; return what stood there."""
    cover = np.empty((newest >= 0).sum(), dtype=np.int32)
    mixed = 0
    for cell in range(len(label)):
        if newest[cell] >= 0:
            cover[mixed] = label[cell]
            label[cell] = -2 - mixed
            mixed += 1
    return cover


@compiled
def _edges(longitudes, latitudes, vertex, rings, areas, label, first, area_of, begin):
    """The edges of every entry: the same walk as before, now that it is known where each goes."""
    columns = len(longitudes) - 1
    edge = np.empty(begin[-1], dtype=np.int32)
    current, place = first[:-1].copy(), begin[:-1].copy()  # the entry of each mixed cell, the next edge of each entry
    for area in range(len(areas) - 1):
        for ring in range(areas[area], areas[area + 1]):
            for number in range(rings[ring], rings[ring + 1] - 1):
                ax, ay, bx, by = vertex[number, 0], vertex[number, 1], vertex[number + 1, 0], vertex[number + 1, 1]
                for row in range(interval(min(ay, by) - PAD, latitudes), interval(max(ay, by) + PAD, latitudes) + 1):
                    west, east = _columns_in_row(ax, ay, bx, by, latitudes[row], latitudes[row + 1], longitudes)
                    for cell in range(row * columns + west, row * columns + east + 1):
                        mixed = -2 - label[cell]
                        if area_of[current[mixed]] != area:
                            current[mixed] += 1
                        edge[place[current[mixed]]] = number
                        place[current[mixed]] += 1
    return edge


@compiled
def locate(x, y, longitudes, latitudes, label, cover, first, area, holds_corner, begin, edge, vertex):
    found = np.full(len(x), -1, dtype=np.int32)
    columns, rows = len(longitudes) - 1, len(latitudes) - 1
    if columns < 1:
        return found
    for point in range(len(x)):
        px, py = x[point], y[point]
        if not (longitudes[0] <= px < longitudes[columns] and latitudes[0] <= py < latitudes[rows]):
            continue
        row, column = interval(py, latitudes), interval(px, longitudes)
        known = label[row * columns + column]
        if known >= -1:
            found[point] = known
            continue
        mixed = -2 - known
        best = cover[mixed]
        for entry in range(first[mixed], first[mixed + 1]):
            if 0 <= best < area[entry]:
                break
            if _holds(
                px, py, longitudes[column], latitudes[row], holds_corner[entry] == 1,
                edge[begin[entry] : begin[entry + 1]], vertex,
            ):  # fmt: skip
                best = area[entry]
                break
        found[point] = best
    return found


@compiled
def _holds(px, py, corner_x, corner_y, inside, edges, vertex):
    """Whether an area holds p: from the corner east to p's longitude, then north to p, each crossing changes sides."""
    for number in edges:
        ax, ay, bx, by = vertex[number, 0], vertex[number, 1], vertex[number + 1, 0], vertex[number + 1, 1]
        if (ay <= corner_y) != (by <= corner_y):
            east = is_right(ax, ay, bx, by, px, corner_y)
            if east and not is_right(ax, ay, bx, by, corner_x, corner_y):
                inside = not inside
        if (ax <= px) != (bx <= px):
            bottom, top = min(ay, by), max(ay, by)
            if bottom > py or top < corner_y:
                continue  # above p, or below the whole path
            found = side(ax, ay, bx, by, px, py) if top >= py else (1 if bx > ax else -1)
            if found == 0:
                return True
            if (found > 0) != (bx > ax):
                continue
            if bottom > corner_y or not is_above(ax, ay, bx, by, px, corner_y):
                inside = not inside
        elif ax == bx and ax == px:
            if min(ay, by) <= py <= max(ay, by):
                return True
        elif (px == ax and py == ay) or (px == bx and py == by):
            return True
    return inside
