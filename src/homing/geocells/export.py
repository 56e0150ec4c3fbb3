"""The cells as a file for QGIS and other geographic information systems."""

from pathlib import Path

import geopandas as gpd
import numpy as np

LAYER = "geocells"


def write_geopackage(path: str | Path, cells: gpd.GeoDataFrame, oracle_km: np.ndarray) -> None:
    """Write a GeoPackage of one layer: the columns of the cells (area_ids joined by commas) and oracle_km, null for
    cells without photos.
    """
    table = cells.assign(area_ids=cells["area_ids"].map(",".join), oracle_km=oracle_km)
    table.to_file(path, driver="GPKG", layer=LAYER, engine="pyogrio", promote_to_multi=True)
