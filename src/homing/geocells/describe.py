"""The table of cells: names, administrative levels, centroids, sizes."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.geocells.geometry.land import areas_km2, wrap_antimeridian
from homing.geocells.methods.country import Cells, Country
from homing.sphere import chord_to_km, from_vectors, unit_vectors


def describe(cells: Cells, country: Country, points: pd.DataFrame, cell: np.ndarray) -> gpd.GeoDataFrame:
    """Return the table of one country's cells, in their order: columns as in docs/architecture.md, without cell_id.

    points: the photos that shaped the cells (latitude, longitude); cell: (photos,) the number of each photo's cell.
    The centroid of a cell without photos is a point inside it.
    """
    count = len(cells.land)
    vectors = unit_vectors(points["latitude"], points["longitude"])
    photos = np.bincount(cell, minlength=count)
    sums = np.stack([np.bincount(cell, part, count) for part in vectors.T], axis=1)
    inner = shapely.get_coordinates(shapely.point_on_surface(cells.land))
    sums[photos == 0] = unit_vectors(inner[:, 1], inner[:, 0])[photos == 0]
    latitude, longitude = from_vectors(sums)
    centroids = unit_vectors(latitude, longitude)
    radius = np.zeros(count)
    np.maximum.at(radius, cell, chord_to_km(np.linalg.norm(vectors - centroids[cell], axis=1)))
    main = country.areas.iloc[cells.main_areas(country)].reset_index(drop=True)
    name = main["area"].fillna(main["region"]).fillna(main["country_name"])
    repeated = name.groupby([main["area_id"], name]).transform("size") > 1
    number = name.groupby([main["area_id"], name]).cumcount() + 1
    area_ids = country.areas["area_id"].to_numpy()
    described = main[["country", "country_name", "region_id", "region"]].assign(
        area_ids=[sorted(area_ids[rows].tolist()) for rows in cells.areas],
        name=name.where(~repeated, name + " (" + number.astype(str) + ")"),
        latitude=latitude,
        longitude=longitude,
        photos=photos,
        area_km2=areas_km2(cells.land),
        radius_km=radius,
    )
    land = [wrap_antimeridian(shape) for shape in cells.land] if country.seam > -180 else cells.land
    return gpd.GeoDataFrame(described, geometry=land, crs="EPSG:4326")
