"""Assembly of the model package of a finished run; its files are described in homing.package.layout."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from homing.files import read_json, write_json
from homing.geocells.export import simplified_outlines
from homing.package.card import render
from homing.package.layout import ENCODER, FORMAT

NAMES = ["cell_id", "name", "region", "country", "country_name", "photos", "area_km2"]


@dataclass(frozen=True)
class Parts:
    """The folders and files of a run that its package is made of."""

    finetuned: Path
    encoder: Path
    index: Path
    hierarchy: Path


def assemble(folder: Path, parts: Parts, cells: gpd.GeoDataFrame, about: Mapping[str, Any]) -> None:
    """Write the package of a run.

    cells: the geocells of the run; about: run, refine, calibration (None if not calibrated), summary, provenance, card.
    """
    folder.mkdir(parents=True)
    for name in ("geolocator.json", "heads.safetensors", "preprocessor_config.json"):
        shutil.copy2(parts.finetuned / name, folder / name)
    (folder / "encoder").mkdir()
    encoder = parts.finetuned / "encoder" if (parts.finetuned / "encoder").is_dir() else parts.encoder
    for name in ENCODER:
        shutil.copy2(encoder / name, folder / "encoder" / name)
    write_json(folder / "geolocator.json", read_json(folder / "geolocator.json") | {"encoder_included": True})
    shutil.copytree(parts.index, folder / "refine")
    shutil.copy2(parts.hierarchy, folder / "hierarchy.parquet")
    centroids = pd.read_parquet(parts.finetuned / "cells.parquet")
    describe_cells(centroids, cells).to_parquet(folder / "cells.parquet", index=False)
    simplified_outlines(cells).to_file(folder / "cells.geojson", driver="GeoJSON", COORDINATE_PRECISION=3)
    config = package_config(about)
    write_json(folder / "config.json", config)
    write_json(folder / "card.json", about["card"])
    (folder / "README.md").write_text(render(about["card"], config), encoding="utf-8")


def package_config(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of config.json of a package without limits."""
    provenance = about["provenance"]
    return {
        "format": FORMAT,
        "run": about["run"],
        "refine": about["refine"],
        "calibration": about.get("calibration"),
        "precision": provenance["config"]["embed"]["mixed_precision"],
        "answers": "exact",
        "photos": True,
        "summary": about["summary"],
        "versions": {name: provenance["versions"].get(name) for name in ("homing", "torch", "transformers")},
        "git_commit": provenance["git_commit"],
    }


def describe_cells(centroids: pd.DataFrame, cells: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the classifier's cells (cell_id, latitude, longitude) with names, photos, area_km2, and a place on land.

    The place, land_latitude and land_longitude, is in the middle of the cell and does not depend on photos.
    """
    named = centroids.merge(pd.DataFrame(cells[NAMES]), on="cell_id", how="left", validate="1:1")
    land = gpd.GeoSeries(cells.representative_point().to_numpy(), index=cells["cell_id"].to_numpy())
    land = land.loc[named["cell_id"].to_numpy()]
    return named.assign(land_latitude=land.y.to_numpy(), land_longitude=land.x.to_numpy())
