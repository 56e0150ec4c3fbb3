"""The levels above the cells, each node a union of nodes one level below: countries, groups of cells, cells."""

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from homing.geocells.geometry.land import union
from homing.geocells.geometry.tessellation import add_shared_vertices
from homing.geocells.methods.country import Settings
from homing.geocells.methods.merge import merge_small
from homing.sphere import from_vectors, unit_vectors


def hierarchy(cells: gpd.GeoDataFrame, settings: Settings) -> pd.DataFrame:
    """Return the nodes of all levels (table `hierarchy`): level 0 are countries, nodes of the last level are cell_ids.

    `method: hierarchy` adds a level for each factor of `levels`: cells merged within their country until each group has
    factor * `min_photos` photos.
    """
    named = [("country", pd.factorize(cells["country"])[0])]
    if settings["method"] == "hierarchy":
        named += [
            (f"{factor:g} times min_photos", node)
            for factor, node in _intermediate_levels(cells, sorted(settings["levels"]), settings)
        ][::-1]
    named.append(("cell", cells["cell_id"].to_numpy()))
    rows = [_level(number, named, cells) for number in range(len(named))]
    return pd.concat(rows, ignore_index=True)


def _intermediate_levels(
    cells: gpd.GeoDataFrame, factors: Sequence[float], settings: Settings
) -> list[tuple[float, np.ndarray]]:
    """Return each factor, the smallest (finest level) first, and the group of each cell, (cells,)."""
    node = np.arange(len(cells))
    found = []
    for factor in factors:
        limits = int(factor * settings["min_photos"]), int(factor * settings["max_photos"])
        node = _merge_groups(cells, node, *limits)
        found.append((factor, node))
    return found


def _merge_groups(cells: gpd.GeoDataFrame, node: np.ndarray, min_photos: int, max_photos: int) -> np.ndarray:
    """Merge groups of cells with too few photos, country by country. node: (cells,) group of each cell; so returned."""
    merged = np.empty(len(cells), dtype=np.int64)
    begin = 0
    for rows in cells.groupby("country", sort=True).indices.values():
        groups, group = np.unique(node[rows], return_inverse=True)
        members = [rows[group == number] for number in range(len(groups))]
        land = np.array([union(cells.geometry.to_numpy()[own]) for own in members])
        photos = np.bincount(group, cells["photos"].to_numpy()[rows]).astype(np.int64)
        regions = [cells["region_id"].iloc[own[0]] for own in members]
        regions = [None if pd.isna(region) else region for region in regions]
        for joined in merge_small(add_shared_vertices(land), regions, photos, min_photos, max_photos):
            merged[np.concatenate([members[number] for number in joined])] = begin
            begin += 1
    return merged


def _level(number: int, named: Sequence[tuple[str, np.ndarray]], cells: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the rows of one level. named: name and node of each cell, (cells,), of all levels."""
    name, node = named[number]
    _, first = np.unique(node, return_index=True)
    photos = cells["photos"].to_numpy()
    vectors = unit_vectors(cells["latitude"], cells["longitude"]) * np.maximum(photos, 1e-6)[:, None]
    latitude, longitude = from_vectors(np.stack([np.bincount(node, part) for part in vectors.T], axis=1))
    rows: dict[str, Any] = {"level": number, "name": name, "node": node[first], "latitude": latitude}
    rows |= {"longitude": longitude, "photos": np.bincount(node, photos).astype(np.int64)}
    parent = named[number - 1][1][first] if number else None
    return pd.DataFrame(rows).assign(parent=pd.array(parent if number else [None] * len(first), dtype="Int32"))
