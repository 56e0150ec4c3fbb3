"""The rows of the table of cells: names, levels, centroids, sizes."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.geocells.country import Cells, Country
from homing.geocells.geometry.land import areas_km2, rolled
from homing.sphere import chord_to_km, from_vectors, unit_vectors


def describe(cells: Cells, country: Country, points: pd.DataFrame, cell: np.ndarray) -> gpd.GeoDataFrame:
    """The cells of one country (columns as in docs/architecture.md but cell_id), in the order of `cells`.

    points: the photos that shaped them (latitude, longitude); cell: (photos,) the cell of each.
    """
    count = len(cells.land)
    vectors = unit_vectors(points["latitude"], points["longitude"])
    photos = np.bincount(cell, minlength=count)
    sums = np.stack([np.bincount(cell, part, count) for part in vectors.T], axis=1)
    inner = shapely.get_coordinates(shapely.point_on_surface(cells.land))
    sums[photos == 0] = unit_vectors(inner[:, 1], inner[:, 0])[photos == 0]
    latitude, longitude = from_vectors(sums)
    middle = unit_vectors(latitude, longitude)
    radius = np.zeros(count)
    np.maximum.at(radius, cell, chord_to_km(np.linalg.norm(vectors - middle[cell], axis=1)))
    main = country.areas.iloc[main_areas(cells, country)].reset_index(drop=True)
    name = main["area"].fillna(main["region"]).fillna(main["country_name"])
    same = name.groupby([main["area_id"], name]).transform("size") > 1
    number = name.groupby([main["area_id"], name]).cumcount() + 1
    area_ids = country.areas["area_id"].to_numpy()
    described = main[["country", "country_name", "region_id", "region"]].assign(
        area_ids=[sorted(area_ids[rows].tolist()) for rows in cells.areas],
        name=name.where(~same, name + " (" + number.astype(str) + ")"),
        latitude=latitude,
        longitude=longitude,
        photos=photos,
        area_km2=areas_km2(cells.land),
        radius_km=radius,
    )
    land = [rolled(shape) for shape in cells.land] if country.seam > -180 else cells.land
    return gpd.GeoDataFrame(described, geometry=land, crs="EPSG:4326")


def main_areas(cells: Cells, country: Country) -> np.ndarray:
    """Row of the area that most photos of each cell are in; of a cell without photos, its first area."""
    held = pd.DataFrame({"cell": cells.cell, "area": country.area, "photos": country.places.photos})
    held = held.groupby(["cell", "area"], as_index=False)["photos"].sum()
    held = held.sort_values(["cell", "photos", "area"], ascending=[True, False, True]).drop_duplicates("cell")
    main = np.array([rows[0] if len(rows) else 0 for rows in cells.areas])
    main[held["cell"]] = held["area"]
    return main
