"""Administrative units as they are: each area or each region is a cell, with photos or without."""

import numpy as np

from homing.geocells.country import Cells, Country, Settings
from homing.geocells.geometry.land import union


def admin_cells(country: Country, settings: Settings) -> Cells:
    """A cell for each area, or with `admin_level: region` for each region (of a country without, for the country)."""
    if settings["admin_level"] == "area":
        return Cells(country.geometry, country.area, list(np.arange(len(country.areas))[:, None]))
    regions = country.areas["region_id"].fillna("").to_numpy()
    _, region = np.unique(regions, return_inverse=True)
    rows = [np.flatnonzero(region == number) for number in range(region.max() + 1)]
    return Cells(np.array([union(country.geometry[own]) for own in rows]), region[country.area], rows)
