"""Readers of administrative areas: GADM 4.1 and 3.6, geoBoundaries CGAZ and Natural Earth, level by level."""

import logging
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from homing.errors import HomingError

log = logging.getLogger(__name__)

# Columns of a level, beside its geometry. `unit` is the edition's own code of the country, before normalisation.
COLUMNS = ["unit", "area_id", "area", "region_id", "region", "country", "country_name"]
MAX_UNPACKED_BYTES = 50e9
MISSING = ("", "NA", "-99", "None")  # what the editions write for a missing name or code

Levels = Iterator[tuple[str, gpd.GeoDataFrame]]


def read_levels(files: Sequence[Path]) -> Levels:
    """Yield name and areas of each level of an edition, the deepest first; columns `COLUMNS`, EPSG:4326.

    The edition is recognised by its file names. Raises HomingError if none is, or a layer or column is missing.
    """
    for pattern, read in EDITIONS.items():
        matching = [Path(path) for path in files if re.fullmatch(pattern, Path(path).name)]
        if matching:
            yield from read(matching)
            return
    raise HomingError(
        f"boundaries: none of {[Path(path).name for path in files]} is a GeoPackage of GADM's layers, "
        "geoBoundariesCGAZ_ADM{0,1,2}.gpkg or a zip of Natural Earth"
    )


def _read_gadm(files: Sequence[Path]) -> Levels:
    """Read a GeoPackage, zipped or not, with layers ADM_0 ... (4.1) or level0 ... (3.6; the country is NAME_0)."""
    if files[0].suffix == ".gpkg":
        yield from _read_gadm_package(files[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        yield from _read_gadm_package(_extract_geopackage(files[0], Path(folder)))


def _read_gadm_package(path: Path) -> Levels:
    layers = [name for name, _ in pyogrio.list_layers(path)]
    pattern = next((pattern for pattern in ("ADM_{}", "level{}") if pattern.format(0) in layers), None)
    if pattern is None:
        raise HomingError(f"{path.name}: no layer ADM_0 or level0; it has {', '.join(layers)}")
    for number in (2, 1, 0):
        layer = pattern.format(number)
        if layer not in layers:
            log.info("%s: no such layer; countries keep the level above it", layer)
            continue
        needed = ["GID_0"] + [f"{name}_{depth}" for depth in range(1, number + 1) for name in ("GID", "NAME")]
        frame = _read_layer(path, needed, layer)
        frame["NAME_0"] = frame.get("COUNTRY", frame.get("NAME_0", frame["GID_0"]))
        columns = {
            "unit": frame["GID_0"],
            "area_id": frame[f"GID_{number}"],
            "area": _without_placeholders(frame[f"NAME_{number}"]),
            "region_id": frame["GID_1"] if number else None,
            "region": _without_placeholders(frame["NAME_1"]) if number else None,
            "country": frame["GID_0"],
            "country_name": frame["NAME_0"],
        }
        yield layer, _level(columns, frame)


def _read_cgaz(files: Sequence[Path]) -> Levels:
    """Read one GeoPackage per level. For a country without second level, that file holds its first level or all of it.

    A second-level area does not name its region; it is the first-level area that contains a point of it.
    """
    by_level = {int(path.stem[-1]): path for path in files}  # geoBoundariesCGAZ_ADM2.gpkg
    needed = ["shapeGroup", "shapeName", "shapeType", "shapeID"]
    frames = {number: _read_layer(path, needed) for number, path in by_level.items()}
    if 0 not in frames:
        raise HomingError(f"boundaries: geoBoundariesCGAZ_ADM0.gpkg is not among {[path.name for path in files]}")
    names = _without_placeholders(frames[0]["shapeName"]).groupby(frames[0]["shapeGroup"]).first()
    for number in sorted(frames, reverse=True):
        frame = frames[number]
        depth = frame["shapeType"].str.extract(r"ADM(\d)", expand=False).astype(float).fillna(number)
        own = pd.DataFrame({"region_id": frame["shapeID"], "region": _without_placeholders(frame["shapeName"])}).where(
            depth == 1
        )
        deeper = (depth > 1).to_numpy()
        if deeper.any() and 1 in frames:
            own.loc[deeper] = _regions_of(frame[deeper], frames[1])
        columns = {
            "unit": frame["shapeGroup"],
            "area_id": frame["shapeID"],
            "area": _without_placeholders(frame["shapeName"]),
            "region_id": own["region_id"],
            "region": own["region"],
            "country": frame["shapeGroup"],
            "country_name": frame["shapeGroup"].map(names).fillna(frame["shapeGroup"]),
        }
        yield f"ADM{number}", _level(columns, frame)


def _regions_of(areas: gpd.GeoDataFrame, regions: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return region_id and region (n, 2): the first-level area of the same country at a point inside each area."""
    points = areas[["shapeGroup"]].set_geometry(areas.geometry.representative_point())
    found = points.sjoin(regions[["shapeGroup", "shapeID", "shapeName", "geometry"]], predicate="intersects")
    found = found[found["shapeGroup_left"] == found["shapeGroup_right"]].sort_values("shapeID")
    found = found[~found.index.duplicated()].reindex(areas.index)
    without_region = found["shapeID"].isna()
    if without_region.any():
        log.warning("%d second-level areas lie in no first-level area of their country", without_region.sum())
    return found[["shapeID", "shapeName"]].set_axis(["region_id", "region"], axis="columns")


def _read_natural_earth(files: Sequence[Path]) -> Levels:
    """Read zipped shapefiles of countries, and of states and provinces. Where the ISO code is "-99", use ADM0_A3."""
    paths = {("states" in path.name): path for path in files}
    if False not in paths:
        raise HomingError(f"boundaries: ne_10m_admin_0_countries.zip is not among {[path.name for path in files]}")
    countries = _read_layer(paths[False], ["ADM0_A3", "ISO_A3_EH", "NAME"])
    code = countries["ISO_A3_EH"].where(~countries["ISO_A3_EH"].isin(MISSING), countries["ADM0_A3"])
    codes = dict(zip(countries["ADM0_A3"], code, strict=True))
    names = dict(zip(countries["ADM0_A3"], countries["NAME"], strict=True))
    if True in paths:
        states = _read_layer(paths[True], ["adm0_a3", "adm1_code", "name"])
        unit, name = states["adm0_a3"], _without_placeholders(states["name"])
        columns = {"unit": unit, "area_id": states["adm1_code"], "area": name}
        columns |= {"region_id": states["adm1_code"], "region": name}
        columns |= {"country": unit.map(codes).fillna(unit), "country_name": unit.map(names).fillna(unit)}
        yield "states and provinces", _level(columns, states)
    columns = {"unit": countries["ADM0_A3"], "area_id": code, "area": countries["NAME"]}
    columns |= {"region_id": None, "region": None, "country": code, "country_name": countries["NAME"]}
    yield "countries", _level(columns, countries)


EDITIONS = {
    r"geoBoundariesCGAZ_ADM\d\.gpkg": _read_cgaz,
    r"ne_\d+m_admin_[01]_\w+\.zip": _read_natural_earth,
    r".*\.(gpkg|zip)": _read_gadm,
}


def _read_layer(path: Path, needed: Sequence[str], layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a layer and check its columns; return it in EPSG:4326. Zipped shapefiles are read in place."""
    where = f"{path.name}: layer {layer}" if layer else path.name
    try:
        frame = pyogrio.read_dataframe(f"/vsizip/{path}" if path.suffix == ".zip" else path, layer=layer)
    except pyogrio.errors.DataSourceError as error:
        raise HomingError(f"{path}: cannot be read, retrieve it again ({str(error).splitlines()[0]})") from None
    for name in needed:
        if name not in frame.columns:
            raise HomingError(f"{where} has no column {name}; it has {', '.join(frame.columns)}")
    if frame.crs is None:
        raise HomingError(f"{where} has no coordinate reference system; set it to EPSG:4326")
    return frame.to_crs("EPSG:4326")


def _level(columns: dict[str, pd.Series | None], frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the columns of a level with the geometries of the frame they were made from."""
    return gpd.GeoDataFrame(columns, columns=COLUMNS, geometry=frame.geometry.to_numpy(), crs=frame.crs)


def _without_placeholders(names: pd.Series) -> pd.Series:
    """Replace the placeholders of missing names (`MISSING`) by None."""
    return names.where(names.notna() & ~names.isin(MISSING), None)


def _extract_geopackage(archive: Path, folder: Path) -> Path:
    """Extract the only GeoPackage of a zip under a fixed name, so that no path in the archive is followed."""
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if member.filename.endswith(".gpkg")]
            if len(members) != 1:
                raise HomingError(f"{archive}: expected one .gpkg in it, found {len(members)}")
            if members[0].file_size > MAX_UNPACKED_BYTES:
                size = members[0].file_size / 1e9
                raise HomingError(f"{archive}: {members[0].filename} would unpack to {size:.0f} GB")
            target = folder / "levels.gpkg"
            with content.open(members[0]) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            return target
    except zipfile.BadZipFile as error:
        raise HomingError(f"{archive}: not a readable zip ({error}); retrieve it again") from None
