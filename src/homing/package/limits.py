"""Removal of information from a package, in place: its training photos, or everything finer than coarse answers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from homing import tables
from homing.errors import HomingError
from homing.files import read_json, write_json
from homing.package.coarse import LEVELS, CoarsePlaces, require_level
from homing.sphere import wrap_longitude

MIN_PHOTOS = 10  # the places of cells with fewer photos are not given
DEGREES = 0.1  # places that are derived from photos are rounded to this: 11 km
PLACE_HEADS = ("climate", "regression", "direction")  # heads that predict more than a country or region


def leave_photos_out(folder: Path) -> None:
    """Remove everything that says where a single training photo was taken.

    The index is removed: names, places and embeddings of photos, and their clusters. A cell with fewer than
    `MIN_PHOTOS` photos is placed in the middle of its land, with a count of 0; the centroids of the others are rounded.
    """
    shutil.rmtree(folder / "refine", ignore_errors=True)
    cells = pd.read_parquet(folder / "cells.parquet")
    few = cells["photos"] < MIN_PHOTOS
    for name in ("latitude", "longitude"):
        rounded = (cells[name] / DEGREES).round() * DEGREES
        cells[name] = cells[f"land_{name}"].where(few, rounded)
    cells["longitude"] = wrap_longitude(cells["longitude"])
    cells["photos"] = cells["photos"].where(~few, 0)
    cells.to_parquet(folder / "cells.parquet", index=False)
    _blank_nodes(folder / "hierarchy.parquet")
    outlines = read_json(folder / "cells.geojson")
    for feature in outlines["features"]:
        if feature["properties"]["photos"] < MIN_PHOTOS:
            feature["properties"]["photos"] = 0
    write_json(folder / "cells.geojson", outlines)
    _configure(folder, photos=False, privacy={"fewest_photos": MIN_PHOTOS, "degrees": DEGREES})


def _blank_nodes(path: Path) -> None:
    """Keep only the parents of nodes, which answers need; places and counts become 0."""
    if path.is_file():
        nodes = tables.read(path, "hierarchy")
        tables.write(path, nodes.assign(latitude=0.0, longitude=0.0, photos=0), "hierarchy")


def limit_answers(folder: Path, level: str) -> None:
    """Limit the package to countries or regions, and remove what finer answers need.

    Removed: the index, the hierarchy, names and places of cells, heads of tasks that depend on the place. Cells are
    renumbered by their bias, so that the numbers of the run have no meaning here. Kept: the encoder, and one logit per
    cell, to which anyone with many photos of known places can assign places again: this limits the package as it is, it
    is no protection. Raises HomingError if the package is already limited to a coarser level.
    """
    require_level(level, read_json(folder / "config.json")["answers"])
    leave_photos_out(folder)
    (folder / "hierarchy.parquet").unlink(missing_ok=True)
    heads = load_file(folder / "heads.safetensors")
    order = np.argsort(heads["cell.bias"], kind="stable")
    for name, value in heads.items():
        if name.startswith("cell."):
            heads[name] = np.ascontiguousarray(value[order])
        elif name.startswith(PLACE_HEADS):
            heads[name] = np.zeros_like(value)
    save_file(heads, folder / "heads.safetensors")
    _coarsen(pd.read_parquet(folder / "cells.parquet"), level).iloc[order].reset_index(drop=True).assign(
        cell_id=np.arange(len(order))
    ).to_parquet(folder / "cells.parquet", index=False)
    description = read_json(folder / "geolocator.json")
    blank = {kind: dict.fromkeys(values, 0.0) for kind, values in description["scales"].items()}
    write_json(folder / "geolocator.json", description | {"tasks": ["month"], "scales": blank})
    _coarsen_outlines(folder / "cells.geojson", level)
    _configure(folder, answers=level)


def _coarsen(cells: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return cells with only their country or region; all cells of one have the same place, photos and area."""
    coarse = CoarsePlaces.from_cells(cells, level)
    count = np.bincount(coarse.number)
    places = coarse.places.assign(area_km2=coarse.places["area_km2"] / count)
    coarsened = places.iloc[coarse.number].reset_index(drop=True)
    removed = [name for name in ("name", "region") if name not in coarsened]
    blank = {name: pd.array([pd.NA] * len(coarsened), dtype="string") for name in removed}
    land = {f"land_{name}": coarsened[name] for name in ("latitude", "longitude")}
    return coarsened.assign(cell_id=cells["cell_id"].to_numpy(), photos=1, **blank, **land)


def _coarsen_outlines(path: Path, level: str) -> None:
    """Keep outlines for the background of a map, sorted by country or region, with no other property."""
    outlines = read_json(path)
    column = LEVELS[level][-1]
    for feature in outlines["features"]:
        feature["properties"] = {"name": feature["properties"][column]}
    outlines["features"].sort(key=lambda one: (str(one["properties"]["name"]), str(one["geometry"]["coordinates"])))
    write_json(path, outlines)


def _configure(folder: Path, **changes: Any) -> None:
    write_json(folder / "config.json", read_json(folder / "config.json") | changes)


def check_absent(path: Path) -> None:
    """Raise HomingError if an export would overwrite something."""
    if path.exists():
        raise HomingError(f"{path}: exists already; choose another path, or remove it first")
