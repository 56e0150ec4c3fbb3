"""Land: unions, removal of overlaps, the antimeridian, and areas on the sphere."""

import numpy as np
import shapely

from homing.sphere import EARTH_RADIUS_KM

NO_AREA = 1e-12  # square degrees, or a share; slivers between borders that differ by rounding are smaller


def union(shapes: np.ndarray) -> shapely.Geometry:
    """Return the union of areas that do not overlap; fast if they share their borders vertex by vertex."""
    if len(shapes) == 1:
        return shapes[0]
    try:
        whole = shapely.coverage_union_all(shapes)
    except shapely.GEOSException:  # borders differ
        return shapely.union_all(shapes)
    total = shapely.area(shapes).sum()
    kept = abs(shapely.area(whole) - total) <= NO_AREA * max(total, 1)
    return whole if kept and whole.is_valid else shapely.union_all(shapes)


def disjoint(geometry: np.ndarray) -> np.ndarray:
    """Return areas without overlaps: as for labels, land in several areas belongs to the first of them."""
    geometry = geometry.copy()
    invalid = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(geometry)))
    if not len(invalid):
        return geometry
    # An area inside another one without a hole for it has invalid edges, the other one does not: test all pairs.
    first, second = shapely.STRtree(geometry).query(geometry[invalid], predicate="intersects")
    pairs = np.unique(np.sort(np.stack([invalid[first], second], axis=1), axis=1), axis=0)
    for one, other in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        if shapely.area(shapely.intersection(geometry[one], geometry[other])) > NO_AREA:
            geometry[other] = surface(shapely.difference(geometry[other], geometry[one]))
    return geometry


def surface(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons of a geometry, without points and lines that an intersection may leave."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts) if parts else shapely.MultiPolygon()


def unwrap_antimeridian(geometry: np.ndarray) -> tuple[np.ndarray, float]:
    """Move the western land of a country on both sides of 180 degrees east by 360; return the areas and the seam.

    The seam (degrees) is in the middle of the widest gap of longitudes without land; what is west of it is moved.
    Other countries, and one with land at every longitude, are returned unchanged with the seam at -180.
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
    for number in np.unique(area[move]):  # join the halves of an area that was cut at 180
        moved[number] = shapely.union_all(parts[area == number])
    return moved, seam


def wrap_antimeridian(shape: shapely.Geometry) -> shapely.Geometry:
    """Invert `unwrap_antimeridian`: cut a shape at 180 degrees and move the part beyond back west."""
    west = surface(shapely.intersection(shape, shapely.box(-180, -90, 180, 90)))
    east = surface(shapely.intersection(shape, shapely.box(180, -90, 540, 90)))
    return surface(shapely.union_all([west, shapely.transform(east, lambda degrees: degrees - np.array([360, 0]))]))


def areas_km2(shapes: np.ndarray) -> np.ndarray:
    """Return areas (n,) on the sphere of polygons whose edges are straight in degrees; parts sum to the whole.

    The area under an edge is the integral of sin(latitude) over longitude, in closed form.
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
    """Return the area on the sphere of one shape; see `areas_km2`."""
    return float(areas_km2(np.array([shape]))[0])
