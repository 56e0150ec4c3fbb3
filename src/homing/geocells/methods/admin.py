"""Administrative units: each area or each region is a cell, with or without photos."""

import numpy as np

from homing.geocells.geometry.land import union
from homing.geocells.methods.country import Cells, Country, Settings


def admin_cells(country: Country, settings: Settings) -> Cells:
    """Return a cell per area, or with `admin_level: region` per region; areas without a region form one cell."""
    if settings["admin_level"] == "area":
        return Cells(country.geometry, country.area, list(np.arange(len(country.areas))[:, None]))
    regions = country.areas["region_id"].fillna("").to_numpy()
    _, region = np.unique(regions, return_inverse=True)
    rows = [np.flatnonzero(region == number) for number in range(region.max() + 1)]
    return Cells(np.array([union(country.geometry[own]) for own in rows]), region[country.area], rows)
