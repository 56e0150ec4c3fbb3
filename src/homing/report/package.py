"""The model package: one folder that `homing predict` needs and nothing else, with a model card.

Layout: config.json (what the run was, refinement settings, headline figures), geolocator.json, heads.safetensors,
cells.parquet (with names), cells.geojson (simplified outlines), preprocessor_config.json, vision/ (transformers'
layout), refine/ (the prototypes), README.md.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from homing.files import read_json, write_json
from homing.report.page import environment

OUTLINE_DEGREES = 0.05  # tolerance of the simplified outlines
NAMES = ["cell_id", "name", "region", "country", "country_name", "photos"]
VISION = ("config.json", "model.safetensors", "preprocessor_config.json")


def assemble(
    folder: Path, finetuned: Path, encoder: Path, index: Path, cells: gpd.GeoDataFrame, about: Mapping[str, Any]
) -> None:
    """Write the package; about: run, refine, calibration, summary, provenance (of the run's JSON files)."""
    folder.mkdir(parents=True)
    for name in ("geolocator.json", "heads.safetensors", "preprocessor_config.json"):
        shutil.copy2(finetuned / name, folder / name)
    (folder / "vision").mkdir()
    tower = finetuned / "vision" if (finetuned / "vision").is_dir() else encoder
    for name in VISION:
        shutil.copy2(tower / name, folder / "vision" / name)
    description = read_json(folder / "geolocator.json")
    write_json(folder / "geolocator.json", description | {"vision_trained": True})  # the tower is in the package
    shutil.copytree(index, folder / "refine")
    centroids = pd.read_parquet(finetuned / "cells.parquet")
    named = centroids.merge(pd.DataFrame(cells[NAMES]), on="cell_id", how="left", validate="1:1")
    named.to_parquet(folder / "cells.parquet", index=False)
    outlines(cells).to_file(folder / "cells.geojson", driver="GeoJSON", COORDINATE_PRECISION=3)
    provenance = about["provenance"]
    content = {"format": 1, "run": about["run"]} | {name: about[name] for name in ("refine", "calibration", "summary")}
    versions = {name: provenance["versions"].get(name) for name in ("homing", "torch", "transformers")}
    write_json(folder / "config.json", content | {"versions": versions, "git_commit": provenance["git_commit"]})
    card = environment().get_template("card.md.j2").render(**about, cells=len(cells))
    (folder / "README.md").write_text(card, encoding="utf-8")


def outlines(cells: gpd.GeoDataFrame, tolerance: float = OUTLINE_DEGREES) -> gpd.GeoDataFrame:
    """The cells with simplified geometries that still touch each other; a cell that would vanish keeps its own."""
    shapes = cells.geometry.to_numpy()
    simple = shapely.coverage_simplify(shapes, tolerance)
    simple[shapely.is_empty(simple)] = shapes[shapely.is_empty(simple)]
    frame = gpd.GeoDataFrame(cells[["cell_id", "name", "country_name", "photos"]], geometry=simple, crs="EPSG:4326")
    return frame
