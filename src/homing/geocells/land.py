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
    first, second = shapely.STRtree(geometry[uncertain]).query(geometry[uncertain], predicate="intersects")
    for one, other in sorted(zip(uncertain[first].tolist(), uncertain[second].tolist(), strict=True)):
        if one < other and shapely.area(shapely.intersection(geometry[one], geometry[other])) > NO_AREA:
            geometry[other] = surface(shapely.difference(geometry[other], geometry[one]))
    return geometry


def surface(shape: shapely.Geometry) -> shapely.Geometry:
    """The polygons of a geometry, without the points and lines that a cut may leave."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts) if parts else shapely.MultiPolygon()


def unrolled(geometry: np.ndarray) -> tuple[np.ndarray, bool]:
    """Areas of a country that crosses 180 degrees, their western parts moved east by 360; and whether they were."""
    bounds = shapely.total_bounds(geometry)
    if bounds[2] - bounds[0] <= 180:
        return geometry, False

    def moved(shape: shapely.Geometry) -> shapely.Geometry:
        parts = shapely.get_parts(shape)
        west = shapely.get_x(shapely.centroid(parts)) < 0
        parts[west] = shapely.transform(parts[west], lambda degrees: degrees + np.array([360, 0]))
        return shapely.union_all(parts)

    return np.array([moved(shape) for shape in geometry]), True


def rolled(shape: shapely.Geometry) -> shapely.Geometry:
    """The inverse of `unrolled`: cut at 180 degrees, the eastern part moved back."""
    west = surface(shapely.intersection(shape, shapely.box(-180, -90, 180, 90)))
    east = surface(shapely.intersection(shape, shapely.box(180, -90, 540, 90)))
    return surface(shapely.union_all([west, shapely.transform(east, lambda degrees: degrees - np.array([360, 0]))]))


def area_km2(shape: shapely.Geometry) -> float:
    """Area on the sphere, through Lambert's cylindrical equal-area projection."""

    def project(degrees: np.ndarray) -> np.ndarray:
        x, y = np.radians(degrees).T
        return np.column_stack([x, np.sin(y)]) * EARTH_RADIUS_KM

    return float(shapely.area(shapely.transform(shape, project)))
