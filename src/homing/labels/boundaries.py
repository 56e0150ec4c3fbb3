"""Administrative areas in GADM's columns become one table: each country in the deepest level it has."""

import csv
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from homing.errors import HomingError

log = logging.getLogger(__name__)

DISPUTED = Path(__file__).resolve().parents[3] / "resources" / "disputed_areas.csv"
LEVELS = ("ADM_0", "ADM_1", "ADM_2")
COLUMNS = ["area_id", "area", "region_id", "region", "country", "country_name", "geometry"]
MAX_UNPACKED_BYTES = 50e9


def read_areas(files: Sequence[Path]) -> gpd.GeoDataFrame:
    """The areas of a GeoPackage, or of the one in a zip, with the columns of `COLUMNS`; geometries valid, EPSG:4326.

    A country with second-level areas is made of them, else of its first-level areas, else it is one area.
    Raises HomingError when the layer ADM_0 or a needed column is missing, or the reference system is unknown.
    """
    package = next((Path(path) for path in files if Path(path).suffix in (".gpkg", ".zip")), None)
    if package is None:
        raise HomingError(f"boundaries: no .gpkg or .zip among {[Path(path).name for path in files]}")
    if package.suffix == ".gpkg":
        return _read_package(package)
    with tempfile.TemporaryDirectory() as folder:
        return _read_package(_unpack(package, Path(folder)))


def _unpack(archive: Path, folder: Path) -> Path:
    """Extract the one GeoPackage of a zip, by its name alone, so that no path in the archive is followed."""
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if member.filename.endswith(".gpkg")]
            if len(members) != 1:
                raise HomingError(f"{archive}: expected one .gpkg in it, found {len(members)}")
            if members[0].file_size > MAX_UNPACKED_BYTES:
                raise HomingError(
                    f"{archive}: {members[0].filename} would unpack to {members[0].file_size / 1e9:.0f} GB"
                )
            target = folder / "levels.gpkg"
            with content.open(members[0]) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            return target
    except zipfile.BadZipFile as error:
        raise HomingError(f"{archive}: not a readable zip ({error}); retrieve it again") from None


def _read_package(path: Path) -> gpd.GeoDataFrame:
    layers = [name for name, _ in pyogrio.list_layers(path)]
    if "ADM_0" not in layers:
        raise HomingError(f"{path.name}: no layer ADM_0; it has {', '.join(layers)}")
    parts: list[gpd.GeoDataFrame] = []
    covered: set[str] = set()
    for level in reversed([name for name in LEVELS if name in layers]):
        areas = _read_level(path, level)
        areas = areas[~areas["country_id"].isin(covered)]
        covered |= set(areas["country_id"])
        log.info("%s: %d areas of %d countries", level, len(areas), areas["country_id"].nunique())
        parts.append(areas)
    for level in [name for name in LEVELS if name not in layers]:
        log.info("%s: no such layer; countries keep the level above it", level)
    areas = pd.concat(parts, ignore_index=True).drop(columns="country_id")
    areas["country"] = areas["country"].replace(disputed_countries())
    areas = _with_unique_ids(areas).sort_values("area_id", ignore_index=True)
    return _repaired(areas, path)[COLUMNS]


def _read_level(path: Path, level: str) -> gpd.GeoDataFrame:
    number = int(level[-1])
    frame = pyogrio.read_dataframe(path, layer=level)
    needed = ["GID_0"] + [f"{name}_{depth}" for depth in range(1, number + 1) for name in ("GID", "NAME")]
    for name in needed:
        if name not in frame.columns:
            raise HomingError(f"{path.name}: layer {level} has no column {name}; it has {', '.join(frame.columns)}")
    if frame.crs is None:
        raise HomingError(f"{path.name}: layer {level} has no coordinate reference system; set it to EPSG:4326")
    frame = frame.to_crs("EPSG:4326")
    country_name = frame["COUNTRY"] if "COUNTRY" in frame.columns else frame["GID_0"]
    region = {"region_id": frame.get("GID_1"), "region": _named(frame.get("NAME_1"))} if number else {}
    own_name = country_name if number == 0 else frame[f"NAME_{number}"]
    columns = {
        "country_id": frame["GID_0"],
        "area_id": frame[f"GID_{number}"],
        "area": _named(own_name),
        "region_id": region.get("region_id"),
        "region": region.get("region"),
        "country": frame["GID_0"],
        "country_name": country_name,
    }
    return gpd.GeoDataFrame(columns, geometry=frame.geometry.to_numpy(), crs=frame.crs)


def _named(names: pd.Series | None) -> pd.Series | None:
    """GADM writes the text "NA" where a name is missing."""
    return None if names is None else names.where(names.notna() & (names != "NA") & (names != ""), None)


def disputed_countries() -> dict[str, str]:
    """GADM's codes of disputed areas (Z01 ... Z09) and the country that administers them."""
    with DISPUTED.open(newline="", encoding="utf-8") as file:
        return {row["gid"]: row["country"] for row in csv.DictReader(file)}


def _with_unique_ids(areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Real files repeat ids; each repetition gets a number."""
    repeated = areas.groupby("area_id").cumcount()
    if repeated.any():
        log.warning("%d repeated area ids were numbered", int((repeated > 0).sum()))
    suffix = np.where(repeated > 0, "#" + repeated.astype(str), "")
    return areas.assign(area_id=areas["area_id"] + suffix)


def _repaired(areas: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Invalid rings repaired, polygons only, empty areas left out; each counted in the log."""
    geometry = areas.geometry.to_numpy()
    invalid = ~shapely.is_valid(geometry)
    if invalid.any():
        log.warning(
            "%s: %d invalid areas repaired, first %s", path.name, invalid.sum(), areas["area_id"][invalid].iloc[0]
        )
        geometry[invalid] = shapely.make_valid(geometry[invalid])
    lines = ~np.isin(shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    geometry[lines] = [polygons_of(shape) for shape in geometry[lines]]
    areas = areas.set_geometry(gpd.GeoSeries(geometry, index=areas.index, crs="EPSG:4326"))
    empty = shapely.is_empty(geometry)
    if empty.any():
        log.warning("%s: %d areas without any surface left out", path.name, empty.sum())
    return areas[~empty].reset_index(drop=True)


def polygons_of(shape: shapely.Geometry) -> shapely.Geometry:
    """The surface of a geometry collection."""
    parts = shapely.get_parts(shape)
    nested = [polygons_of(part) for part in parts] if shape.geom_type == "GeometryCollection" else list(parts)
    surfaces = [part for part in nested if part.geom_type in ("Polygon", "MultiPolygon") and not part.is_empty]
    return shapely.union_all(surfaces) if surfaces else shapely.MultiPolygon()
