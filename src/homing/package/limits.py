"""A package that tells less: without its training photos, or with coarse answers alone. Both change a copy in place."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from homing import tables
from homing.errors import HomingError
from homing.files import read_json, write_json
from homing.package.coarse import LEVELS, CoarsePlaces, require
from homing.sphere import wrap_longitude

FEWEST_PHOTOS = 10  # a cell of fewer says nothing of where they are
DEGREES = 0.1  # to which places that come from photos are rounded: 11 km
PLACE_HEADS = ("climate", "regression", "direction")  # these tell more of a place than its country or region


def leave_photos_out(folder: Path) -> None:
    """Take everything out that tells where a single training photo was taken.

    The index goes: names, places and embeddings of photos, and their clusters. A cell of fewer than `FEWEST_PHOTOS`
    photos stands in the middle of its land and says that it has none; the others stand at the mean place of their
    photos, rounded.
    """
    shutil.rmtree(folder / "refine", ignore_errors=True)
    cells = pd.read_parquet(folder / "cells.parquet")
    few = cells["photos"] < FEWEST_PHOTOS
    for name in ("latitude", "longitude"):
        rounded = (cells[name] / DEGREES).round() * DEGREES
        cells[name] = cells[f"land_{name}"].where(few, rounded)
    cells["longitude"] = wrap_longitude(cells["longitude"])
    cells["photos"] = cells["photos"].where(~few, 0)
    cells.to_parquet(folder / "cells.parquet", index=False)
    _blank_nodes(folder / "hierarchy.parquet")
    outlines = read_json(folder / "cells.geojson")
    for feature in outlines["features"]:
        if feature["properties"]["photos"] < FEWEST_PHOTOS:
            feature["properties"]["photos"] = 0
    write_json(folder / "cells.geojson", outlines)
    told = {"fewest_photos": FEWEST_PHOTOS, "degrees": DEGREES}
    _configure(folder, photos=False, privacy=told)


def _blank_nodes(path: Path) -> None:
    """Keep of the hierarchy what answers need: which node is above which; no places and no counts."""
    if path.is_file():
        nodes = tables.read(path, "hierarchy")
        tables.write(path, nodes.assign(latitude=0.0, longitude=0.0, photos=0), "hierarchy")


def limit_answers(folder: Path, level: str) -> None:
    """Let the package answer countries or regions alone, and take out what finer answers need.

    What goes: the index, the hierarchy, names and places of cells, heads of tasks that tell of a place. Cells are
    numbered anew, by their bias, so that the numbers of the run mean nothing here. What stays: the encoder, and one
    logit per cell, which whoever knows where many photos were taken can give a place again. It is a limit for those
    who use the package as it is, not a lock. Raises HomingError when the package answers no more than a coarser level.
    """
    require(level, read_json(folder / "config.json")["answers"])
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
    """Cells that know of their country or region alone; of each, all have the same place, share of photos and area."""
    coarse = CoarsePlaces.of(cells, level)
    count = np.bincount(coarse.number)
    places = coarse.places.assign(area_km2=coarse.places["area_km2"] / count)
    told = places.iloc[coarse.number].reset_index(drop=True)
    blank = {name: pd.array([pd.NA] * len(told), dtype="string") for name in ("name", "region") if name not in told}
    land = {f"land_{name}": told[name] for name in ("latitude", "longitude")}
    return told.assign(cell_id=cells["cell_id"].to_numpy(), photos=1, **blank, **land)


def _coarsen_outlines(path: Path, level: str) -> None:
    """Outlines for the background of a map, in an order of their own, that say no more than their country or region."""
    outlines = read_json(path)
    column = LEVELS[level][-1]
    for feature in outlines["features"]:
        feature["properties"] = {"name": feature["properties"][column]}
    outlines["features"].sort(key=lambda one: (str(one["properties"]["name"]), str(one["geometry"]["coordinates"])))
    write_json(path, outlines)


def _configure(folder: Path, **changes: Any) -> None:
    write_json(folder / "config.json", read_json(folder / "config.json") | changes)


def check_empty(path: Path) -> None:
    """Raise HomingError when an export would overwrite something."""
    if path.exists():
        raise HomingError(f"{path}: exists already; name another place, or remove it first")
