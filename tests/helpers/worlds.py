"""Random worlds for the tests of geocells: photos, and jagged areas that share their borders vertex by vertex."""

from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

NAMES = ["area_id", "area", "region_id", "region", "country", "country_name", "geometry"]
SETTINGS = {
    "method": "semantic", "min_photos": 20, "max_photos": 60, "max_radius_km": None, "optics": [[8, 0.05], [10, 0.025]],
    "levels": [4], "admin_level": "region", "s2_level": 13, "quadtree_depth": 10, "h3_resolution": None,
}  # fmt: skip
FRAMES = {  # west (up to 360: across 180 degrees), south, width of an area, its height, columns, rows
    "temperate": (-12.0, 38.0, 1.0, 0.8, 9, 7),
    "equator": (30.0, -3.0, 0.5, 0.5, 8, 7),
    "across 180": (172.0, -22.0, 2.0, 1.5, 9, 6),
    "far north across 180": (160.0, 62.0, 5.0, 3.0, 10, 5),
    "north pole": (-180.0, 78.0, 30.0, 3.0, 12, 4),
    "south pole": (-180.0, -90.0, 30.0, 5.0, 12, 4),
}


class World(NamedTuple):
    """Areas, photos, and which of these are off the coast."""

    areas: gpd.GeoDataFrame
    points: pd.DataFrame
    off_coast: np.ndarray  # bool (photos,)


def table(rows) -> gpd.GeoDataFrame:
    """Areas from tuples in the order of NAMES."""
    return gpd.GeoDataFrame(pd.DataFrame(rows, columns=NAMES), geometry="geometry", crs="EPSG:4326")


def photos_at(places, country, area_id="") -> pd.DataFrame:
    """Points for `make_geocells` from places (n, 2: latitude, longitude) and their country (of each, or of all)."""
    points = pd.DataFrame(np.asarray(places, dtype=float), columns=["latitude", "longitude"])
    points.insert(0, "photo_id", [f"p{number:05d}" for number in range(len(points))])
    return points.assign(country=country, area_id=area_id)


def random_world(frame: str, seed: int, photos: int = 900) -> World:
    """Return a world of a frame: up to three countries in a lattice with sea, islands, enclaves and multi-part areas.

    Photos lie alone, in towns, at one place, on corners of areas and off the coast; some areas have none.
    """
    rng = np.random.default_rng(seed)
    areas = _areas(rng, *FRAMES[frame])
    points, off_coast = _photos(rng, areas, photos)
    return World(areas, points, off_coast)


def _areas(rng, west, south, width, height, columns, rows) -> gpd.GeoDataFrame:
    squares = lattice(rng, west, south, width, height, columns, rows)
    centres = rng.uniform(0, [columns, rows], (3, 2))
    column, row = (grid.ravel() for grid in np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"))
    here = np.column_stack([column, row])
    country = ((here[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    enclave = rng.random(len(here)) < 0.05
    country[enclave] = rng.integers(0, 3, enclave.sum())
    kept = rng.random(len(here)) > 0.22
    rows = []
    for number in np.flatnonzero(kept):
        shape, code = squares[number], f"C{country[number]}"
        region = f"{code}.{column[number] // 3}.{row[number] // 3}"
        if rng.random() < 0.15:  # an area inside, of the same country or of another one
            inner = hole_in(rng, shape, min(width, height) / 5)
            shape, owner = shapely.difference(shape, inner), code if rng.random() < 0.6 else f"C{rng.integers(0, 3)}"
            rows.append([f"{owner}.in.{number}", "inner", f"{owner}.in", "inner region", owner, owner, inner])
        rows.append([f"{region}.{number}", f"area {number}", region, f"region {region}", code, code, shape])
    areas = table(rows)
    areas = _merge_some(rng, areas)
    if rng.random() < 0.3:
        areas.loc[areas["country"] == "C1", ["region_id", "region"]] = None
    areas.geometry = [_wrapped(shape) for shape in areas.geometry]
    assert areas.is_valid.all()
    return areas


def lattice(rng, west, south, width, height, columns, rows) -> list[shapely.Polygon]:
    """Return jagged squares, by column, that share vertices; their edges are straight at 180 degrees and poles."""
    nodes = np.stack(np.meshgrid(np.arange(columns + 1), np.arange(rows + 1), indexing="ij"), axis=2).astype(float)
    step = np.array([width, height])
    fixed = np.zeros(nodes.shape, dtype=bool)
    fixed[:, :, 0] = np.isin(west + nodes[..., 0] * width, [-180, 180])
    fixed[:, :, 1] = np.abs(south + nodes[..., 1] * height) >= 90
    nodes = nodes + np.where(fixed, 0, rng.uniform(-0.2, 0.2, nodes.shape))

    def border(one, other, straight):
        share = np.arange(4)[:, None] / 4
        jag = np.zeros((4, 2))
        jag[1:] = 0 if straight else rng.uniform(-0.08, 0.08, (3, 2))
        return nodes[one] + share * (nodes[other] - nodes[one]) + jag

    across = {(c, r): border((c, r), (c + 1, r), fixed[c, r, 1]) for c in range(columns) for r in range(rows + 1)}
    up = {(c, r): border((c, r), (c, r + 1), fixed[c, r, 0]) for c in range(columns + 1) for r in range(rows)}

    def square(c, r):
        ahead = [across[c, r], up[c + 1, r], [nodes[c + 1, r + 1]]]
        back = [across[c, r + 1][:0:-1], [nodes[c, r + 1]], up[c, r][:0:-1]]
        return shapely.Polygon(np.array([west, south]) + step * np.concatenate([*ahead, *back]))

    return [square(c, r) for c in range(columns) for r in range(rows)]


def hole_in(rng, shape, radius) -> shapely.Polygon:
    """Return a jagged island around the centroid of a shape."""
    angle = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    offset = radius * rng.uniform(0.5, 1, 9)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return shapely.Polygon(np.array(shape.centroid.coords[0]) + offset)


def _merge_some(rng, areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Merge two random areas of each large country, adjacent or not."""
    for country in areas["country"].unique():
        own = areas.index[areas["country"] == country]
        if len(own) >= 6:
            one, other = rng.choice(own, 2, replace=False)
            areas.loc[one, "geometry"] = shapely.union_all([areas.geometry[one], areas.geometry[other]])
            areas = areas.drop(index=other)
    return areas.reset_index(drop=True)


def _wrapped(shape):
    """Move what is east of 180 degrees to the west."""
    parts = shapely.get_parts(shape)
    pieces = []
    for part in parts:
        if part.bounds[2] > 180 and part.bounds[0] < 180:
            pieces += [part & shapely.box(-180, -90, 180, 90), _moved(part & shapely.box(180, -90, 540, 90))]
        else:
            pieces.append(_moved(part) if part.bounds[0] >= 180 else part)
    pieces = [piece for part in pieces for piece in shapely.get_parts(part)]
    return pieces[0] if len(pieces) == 1 else shapely.MultiPolygon(pieces)


def _moved(shape):
    return shapely.transform(shape, lambda degrees: degrees - np.array([360.0, 0.0]))


def _photos(rng, areas, photos) -> tuple[pd.DataFrame, np.ndarray]:
    shapes = areas.geometry.to_numpy()
    weight = rng.pareto(1, len(areas)) * (rng.random(len(areas)) > 0.3)
    chosen = rng.choice(len(areas), photos, p=weight / weight.sum())
    alone = np.array([within(rng, shapes[number]) for number in chosen])
    towns = alone[rng.integers(0, photos, 3)]
    crowd = towns[rng.integers(0, 3, photos // 4)] + rng.normal(0, 0.02, (photos // 4, 2))
    one_place = np.tile(alone[0], (rng.integers(1, 90), 1))
    corners = shapely.get_coordinates(shapes)[:, ::-1]
    corners = corners[rng.integers(0, len(corners), 12)]
    west, south, east, north = shapely.bounds(shapes[rng.integers(0, len(shapes))])
    sea = np.column_stack([rng.uniform(south - 2, north + 2, 40), rng.uniform(west - 2, east + 2, 40)])
    places = np.concatenate([alone, crowd, one_place, corners, sea])
    places[:, 0] = np.clip(places[:, 0], -90, 90)
    places[:, 1] = np.where(places[:, 1] > 180, places[:, 1] - 360, places[:, 1])
    places[:, 1] = np.where(places[:, 1] < -180, places[:, 1] + 360, places[:, 1])
    tree = shapely.STRtree(shapes)
    at = shapely.points(places[:, ::-1])
    photo, area = tree.query(at, predicate="intersects")
    row = np.full(len(places), -1)
    row[photo[::-1]] = area[::-1]
    off_coast = row < 0
    row[off_coast] = tree.nearest(at[off_coast])  # in degrees; any country nearby will do
    near = shapely.distance(shapes[row], at) < 4
    places, row, off_coast = places[near], row[near], off_coast[near]
    points = photos_at(places, areas["country"].to_numpy()[row], areas["area_id"].to_numpy()[row])
    return points, off_coast


def within(rng, shape) -> tuple[float, float]:
    """Return latitude and longitude of a random point in a shape, or after 30 misses of an inner point of it."""
    part = shapely.get_parts(shape)[rng.integers(0, shapely.get_num_geometries(shape))]
    west, south, east, north = part.bounds
    for _ in range(30):
        x, y = rng.uniform(west, east), rng.uniform(south, north)
        if shapely.contains_xy(part, x, y):
            return y, x
    inner = shapely.point_on_surface(part)
    return inner.y, inner.x
