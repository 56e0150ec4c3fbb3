"""Land: unions of areas, areas without overlaps, and shapes that cross 180 degrees."""

import numpy as np
import shapely

from homing.sphere import EARTH_RADIUS_KM

NO_AREA = 1e-12  # square degrees, or as a share: what is left where two borders almost agree


def union(shapes: np.ndarray) -> shapely.Geometry:
    """The union of areas that do not overlap. Where their borders agree, vertex by vertex, that is quick."""
    if len(shapes) == 1:
        return shapes[0]
    try:
        whole = shapely.coverage_union_all(shapes)
    except shapely.GEOSException:  # borders that do not agree
        return shapely.union_all(shapes)
    total = shapely.area(shapes).sum()
    kept = abs(shapely.area(whole) - total) <= NO_AREA * max(total, 1)
    return whole if kept and whole.is_valid else shapely.union_all(shapes)


def disjoint(geometry: np.ndarray) -> np.ndarray:
    """The areas without what an earlier one has already: as labels say, the first of overlapping areas has the land."""
    geometry = geometry.copy()
    uncertain = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(geometry)))
    if not len(uncertain):
        return geometry
    # An area within another one, without a hole for it, is uncertain while the other is not.
    first, second = shapely.STRtree(geometry).query(geometry[uncertain], predicate="intersects")
    pairs = np.unique(np.sort(np.stack([uncertain[first], second], axis=1), axis=1), axis=0)
    for one, other in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        if shapely.area(shapely.intersection(geometry[one], geometry[other])) > NO_AREA:
            geometry[other] = surface(shapely.difference(geometry[other], geometry[one]))
    return geometry


def surface(shape: shapely.Geometry) -> shapely.Geometry:
    """The polygons of a geometry, without the points and lines that a cut may leave."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts) if parts else shapely.MultiPolygon()


def unrolled(geometry: np.ndarray) -> tuple[np.ndarray, float]:
    """Areas of a country with land on both sides of 180 degrees, in one piece across it; and the seam (degrees).

    The seam lies in the widest stretch of longitudes without land; what is west of it was moved east by 360. Other
    countries, and one with land at every longitude, are returned as they are, with the seam at -180.
    """
    parts, area = shapely.get_parts(geometry, return_index=True)
    west, _, east, _ = shapely.bounds(parts).T
    if west.min() > -180 or east.max() < 180:
        return geometry, -180.0
    order = np.argsort(west, kind="stable")
    reached = np.maximum.accumulate(east[order])[:-1]
    gap = west[order][1:] - reached
    if not len(gap) or gap.max() <= 0:
        return geometry, -180.0
    seam = float(reached[gap.argmax()] + gap.max() / 2)
    move = west < seam
    parts[move] = shapely.transform(parts[move], lambda degrees: degrees + np.array([360, 0]))
    moved = geometry.copy()
    for number in np.unique(area[move]):  # both halves of an area that was cut at 180 become one
        moved[number] = shapely.union_all(parts[area == number])
    return moved, seam


def rolled(shape: shapely.Geometry) -> shapely.Geometry:
    """The inverse of `unrolled`: cut at 180 degrees, the eastern part moved back."""
    west = surface(shapely.intersection(shape, shapely.box(-180, -90, 180, 90)))
    east = surface(shapely.intersection(shape, shapely.box(180, -90, 540, 90)))
    return surface(shapely.union_all([west, shapely.transform(east, lambda degrees: degrees - np.array([360, 0]))]))


def areas_km2(shapes: np.ndarray) -> np.ndarray:
    """Areas (n,) on the sphere of polygons whose edges are straight in degrees, exactly: the parts sum to the whole.

    Under an edge lies the integral of sin(latitude) over longitude, which is known in closed form.
    """
    parts, part_owner = shapely.get_parts(shapes, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    vertex, ring = shapely.get_coordinates(rings, return_index=True)
    longitude, latitude = np.radians(vertex).T
    first = np.r_[True, ring[1:] != ring[:-1]]
    base = np.sin(latitude[first])[ring]
    half = np.diff(latitude, prepend=0) / 2
    height = np.sin(latitude - half) * np.sinc(half / np.pi) - base
    under = np.where(first, 0.0, np.diff(longitude, prepend=0) * height)
    ring_area = np.abs(np.bincount(ring, under, len(rings)))
    hole = np.r_[False, ring_part[1:] == ring_part[:-1]] if len(rings) else np.zeros(0, dtype=bool)
    part_area = np.bincount(ring_part, np.where(hole, -ring_area, ring_area), len(parts))
    return EARTH_RADIUS_KM**2 * np.bincount(part_owner, part_area, len(shapes))


def area_km2(shape: shapely.Geometry) -> float:
    """The same of one shape."""
    return float(areas_km2(np.array([shape]))[0])
