"""Export of the cells: a GeoPackage for QGIS, and simplified outlines for HTML pages and model packages."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

LAYER = "geocells"
OUTLINE_DEGREES = 0.05  # tolerance of the simplified outlines


def write_geopackage(path: str | Path, cells: gpd.GeoDataFrame, oracle_km: np.ndarray) -> None:
    """Write a GeoPackage with one layer: the columns of the cells (area_ids joined by commas) and `oracle_km` (cells,).

    oracle_km is NaN, written as null, for cells without photos.
    """
    table = cells.assign(area_ids=cells["area_ids"].map(",".join), oracle_km=oracle_km)
    table.to_file(path, driver="GPKG", layer=LAYER, engine="pyogrio", promote_to_multi=True)


def simplified_outlines(cells: gpd.GeoDataFrame, tolerance: float = OUTLINE_DEGREES) -> gpd.GeoDataFrame:
    """Return the cells with simplified geometries that still share borders; a cell that would vanish keeps its own."""
    shapes = cells.geometry.to_numpy()
    simple = shapely.coverage_simplify(shapes, tolerance)
    simple[shapely.is_empty(simple)] = shapes[shapely.is_empty(simple)]
    kept = cells[["cell_id", "name", "region", "country_name", "photos"]]
    return gpd.GeoDataFrame(kept, geometry=simple, crs="EPSG:4326")
