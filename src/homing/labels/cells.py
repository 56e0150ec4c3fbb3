"""Compiled functions of the grid: the cells an edge passes, the corners inside an area, the area at a point."""

import numpy as np

from homing.labels.exact import compiled, is_above, is_right, side

PAD = 1e-9  # degrees; an edge this close to a cell counts as inside it


@compiled
def any_vertex_on_line(latitudes, vertex):
    """True if a vertex lies exactly on a line of latitude."""
    for number in range(len(vertex)):
        row = interval(vertex[number, 1], latitudes)
        if vertex[number, 1] == latitudes[row]:
            return True
    return False


@compiled
def interval(value, lines):
    """Return i of the interval [lines[i], lines[i + 1]) that contains `value`, clipped to the evenly spaced lines."""
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
    """Return the first and last column that an edge may pass between two latitudes."""
    if ay == by:
        west, east = min(ax, bx), max(ax, bx)
    else:
        slope = (bx - ax) / (by - ay)
        bottom, top = max(min(ay, by), low), min(max(ay, by), high)
        one, two = ax + (bottom - ay) * slope, ax + (top - ay) * slope
        west, east = max(min(one, two), min(ax, bx)), min(max(one, two), max(ax, bx))
    return interval(west - PAD, longitudes), interval(east + PAD, longitudes)


@compiled
def _corners(begin, end, rings, vertex, longitudes, latitudes, crossings):
    """Return the number of crossings of an area's border with the lines of latitude, and the crossings, sorted.

    A crossing is the first corner of the grid at or east of it. Corners from an even crossing on are inside the area,
    from an odd one on outside.
    """
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
                if count == len(crossings):
                    crossings = np.concatenate((crossings, np.empty_like(crossings)))
                crossings[count] = row * (columns + 1) + column
                count += 1
    crossings[:count].sort()
    return count, crossings


@compiled
def build(longitudes, latitudes, vertex, rings, areas):
    """Build the arrays of `Grid` between its lines and its vertices; areas: offset of the rings of each area."""
    cells = (len(longitudes) - 1) * (len(latitudes) - 1)
    label = np.full(cells, -1, dtype=np.int32)
    last_entry = np.full(cells, -1, dtype=np.int32)  # last entry of each cell
    size = max(1024, len(vertex) // 4)
    cell_of, area_of, edges_of = np.empty(size, np.int32), np.empty(size, np.int32), np.zeros(size, np.int32)
    corner_of = np.zeros(size, np.uint8)
    entries = 0
    columns = len(longitudes) - 1
    crossings = np.empty(4096, dtype=np.int64)
    for area in range(len(areas) - 1):
        for ring in range(areas[area], areas[area + 1]):
            for number in range(rings[ring], rings[ring + 1] - 1):
                ax, ay, bx, by = vertex[number, 0], vertex[number, 1], vertex[number + 1, 0], vertex[number + 1, 1]
                for row in range(interval(min(ay, by) - PAD, latitudes), interval(max(ay, by) + PAD, latitudes) + 1):
                    west, east = _columns_in_row(ax, ay, bx, by, latitudes[row], latitudes[row + 1], longitudes)
                    for cell in range(row * columns + west, row * columns + east + 1):
                        entry = last_entry[cell]
                        if entry < 0 or area_of[entry] != area:
                            entry = entries
                            entries += 1
                            if entry == len(cell_of):
                                cell_of, area_of = _double(cell_of), _double(area_of)
                                edges_of, corner_of = _double(edges_of), _double(corner_of)
                            last_entry[cell], cell_of[entry], area_of[entry] = entry, cell, area
                        edges_of[entry] += 1
        count, crossings = _corners(areas[area], areas[area + 1], rings, vertex, longitudes, latitudes, crossings)
        for crossing in range(0, count - 1, 2):
            row, column = crossings[crossing] // (columns + 1), crossings[crossing] % (columns + 1)
            for cell in range(row * columns + column, row * columns + crossings[crossing + 1] % (columns + 1)):
                entry = last_entry[cell]
                if entry >= 0 and area_of[entry] == area:
                    corner_of[entry] = 1
                elif label[cell] < 0:
                    label[cell] = area
    cover = _number_mixed_cells(label, last_entry)
    first = np.zeros(len(cover) + 1, dtype=np.int64)
    for entry in range(entries):
        first[-1 - label[cell_of[entry]]] += 1
    first = np.cumsum(first)
    # Sort the entries, which are in the order of areas, by cell, and give each its range of edges.
    slot = first[:-1].copy()
    entry_area, holds_corner = np.empty(entries, dtype=np.int32), np.empty(entries, dtype=np.uint8)
    begin = np.zeros(entries + 1, dtype=np.int64)
    for entry in range(entries):
        mixed = -2 - label[cell_of[entry]]
        target = slot[mixed]
        slot[mixed] += 1
        entry_area[target], holds_corner[target], begin[target + 1] = area_of[entry], corner_of[entry], edges_of[entry]
    begin = np.cumsum(begin)
    edge = _edges(longitudes, latitudes, vertex, rings, areas, label, first, entry_area, begin)
    return label, cover, first, entry_area, holds_corner, begin, edge


@compiled
def _double(array):
    return np.concatenate((array, np.zeros_like(array)))


@compiled
def _number_mixed_cells(label, last_entry):
    """Replace the label of each cell with entries by -2 - its number; return the labels replaced."""
    cover = np.empty((last_entry >= 0).sum(), dtype=np.int32)
    mixed = 0
    for cell in range(len(label)):
        if last_entry[cell] >= 0:
            cover[mixed] = label[cell]
            label[cell] = -2 - mixed
            mixed += 1
    return cover


@compiled
def _edges(longitudes, latitudes, vertex, rings, areas, label, first, area_of, begin):
    """Return the edges of every entry, by the same walk as in `build`, now that their offsets are known."""
    columns = len(longitudes) - 1
    edge = np.empty(begin[-1], dtype=np.int32)
    current, slot = first[:-1].copy(), begin[:-1].copy()  # current entry of each mixed cell, next slot of each entry
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
                        edge[slot[current[mixed]]] = number
                        slot[current[mixed]] += 1
    return edge


@compiled
def locate(x, y, longitudes, latitudes, label, cover, first, area, holds_corner, begin, edge, vertex):
    """Return the first area that contains each point, -1 without one; int32 (n,). The arrays are those of `Grid`."""
    found = np.full(len(x), -1, dtype=np.int32)
    columns, rows = len(longitudes) - 1, len(latitudes) - 1
    if columns < 1:
        return found
    for point in range(len(x)):
        px, py = x[point], y[point]
        if not (longitudes[0] <= px < longitudes[columns] and latitudes[0] <= py < latitudes[rows]):
            continue
        row, column = interval(py, latitudes), interval(px, longitudes)
        whole = label[row * columns + column]
        if whole >= -1:
            found[point] = whole
            continue
        mixed = -2 - whole
        best = cover[mixed]
        for entry in range(first[mixed], first[mixed + 1]):
            if 0 <= best < area[entry]:
                break
            if _contains(
                px, py, longitudes[column], latitudes[row], holds_corner[entry] == 1,
                edge[begin[entry] : begin[entry + 1]], vertex,
            ):  # fmt: skip
                best = area[entry]
                break
        found[point] = best
    return found


@compiled
def _contains(px, py, corner_x, corner_y, inside, edges, vertex):
    """True if an area contains p.

    Follow the path from the corner east to p's longitude, then north to p; every edge it crosses toggles `inside`.
    """
    for number in edges:
        ax, ay, bx, by = vertex[number, 0], vertex[number, 1], vertex[number + 1, 0], vertex[number + 1, 1]
        if (ay <= corner_y) != (by <= corner_y):
            east = is_right(ax, ay, bx, by, px, corner_y)
            if east and not is_right(ax, ay, bx, by, corner_x, corner_y):
                inside = not inside
        if (ax <= px) != (bx <= px):
            bottom, top = min(ay, by), max(ay, by)
            if bottom > py or top < corner_y:
                continue  # wholly above p, or wholly below the path
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
