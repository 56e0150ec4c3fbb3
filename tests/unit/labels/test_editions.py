"""Editions of administrative areas, in the layouts of their publishers, are read into the same table."""

import zipfile

import geopandas as gpd
import pyogrio
import pytest
import shapely

from homing.errors import HomingError
from homing.labels.boundaries import read_areas

box = shapely.box


def frame(shapes, **columns):
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326")


@pytest.fixture
def cgaz(tmp_path):
    """FRA has two levels; the file of second levels holds NOR's first level and all of VAT; a disputed area."""
    levels = {
        0: frame(
            [box(0, 0, 4, 4), box(10, 0, 14, 4), box(20, 0, 21, 1), box(30, 0, 31, 1)],
            shapeGroup=["FRA", "NOR", "VAT", "112"], shapeName=["France", "Norway", "Vatican City", "Rock"],
            shapeType=["ADM0", "ADM0", "ADM0", "DISP"], shapeID=["f", "n", "v", "d"],
        ),
        1: frame(
            [box(0, 0, 4, 2), box(0, 2, 4, 4), box(10, 0, 14, 4), box(20, 0, 21, 1)],
            shapeGroup=["FRA", "FRA", "NOR", "VAT"], shapeName=["South", None, "Oslo", "Vatican City"],
            shapeType=["ADM1", "ADM1", "ADM1", "ADM0"], shapeID=["f1", "f2", "n1", "v"],
        ),
        2: frame(
            [box(0, 0, 2, 2), box(2, 0, 4, 2), box(0, 2, 4, 4), box(10, 0, 14, 4), box(20, 0, 21, 1)],
            shapeGroup=["FRA", "FRA", "FRA", "NOR", "VAT"], shapeName=["a", "b", "c", "Oslo", "Vatican City"],
            shapeType=["ADM2", "ADM2", "ADM2", "ADM1", "ADM0"], shapeID=["f11", "f12", "f21", "n1", "v"],
        ),
    }  # fmt: skip
    paths = [tmp_path / f"geoBoundariesCGAZ_ADM{number}.gpkg" for number in levels]
    for path, level in zip(paths, levels.values(), strict=True):
        pyogrio.write_dataframe(level, path, layer="globalADM")
    return paths


def rows(areas):
    named = areas.astype(object).where(areas.notna(), None).set_index("area_id")
    return {
        key: tuple(named.loc[key, ["area", "region_id", "region", "country", "country_name"]]) for key in named.index
    }


def test_cgaz(cgaz):
    assert rows(read_areas(cgaz)) == {
        "f11": ("a", "f1", "South", "FRA", "France"),
        "f12": ("b", "f1", "South", "FRA", "France"),
        "f21": ("c", "f2", None, "FRA", "France"),
        "n1": ("Oslo", "n1", "Oslo", "NOR", "Norway"),
        "v": ("Vatican City", None, None, "VAT", "Vatican City"),
        "d": ("Rock", None, None, "112", "Rock"),
    }
    assert rows(read_areas(cgaz[:1])).keys() == {"f", "n", "v", "d"}, "the first level alone"


def test_a_missing_level_0_is_named(cgaz):
    with pytest.raises(HomingError, match="geoBoundariesCGAZ_ADM0.gpkg is not among"):
        read_areas(cgaz[1:])


def shapefile_zip(path, level):
    folder = path.with_suffix("")
    folder.mkdir()
    pyogrio.write_dataframe(level, folder / f"{path.stem}.shp", encoding="utf-8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(folder.iterdir()):
            archive.write(part, part.name)
    return path


def test_natural_earth(tmp_path):
    """France's ISO_A3 is "-99", and its code is in ISO_A3_EH; where that is "-99" too, ADM0_A3 is used."""
    countries = frame(
        [box(0, 0, 4, 4), box(10, 0, 14, 4), box(20, 0, 24, 4)],
        ADM0_A3=["FRA", "KOS", "NOR"], ISO_A3=["-99", "-99", "-99"], ISO_A3_EH=["FRA", "-99", "NOR"],
        NAME=["France", "Kosovo", "Norway"],
    )  # fmt: skip
    states = frame(
        [box(0, 0, 4, 2), box(0, 2, 4, 4), box(10, 0, 14, 4)],
        adm0_a3=["FRA", "FRA", "KOS"], adm1_code=["FRA-1", "FRA-2", "KOS+99?"], iso_3166_2=["FR-A", "FR-B", "-99"],
        name=["Île", None, "Pristina"],
    )  # fmt: skip
    files = [
        shapefile_zip(tmp_path / "ne_10m_admin_0_countries.zip", countries),
        shapefile_zip(tmp_path / "ne_10m_admin_1_states_provinces.zip", states),
    ]
    assert rows(read_areas(files)) == {
        "FRA-1": ("Île", "FRA-1", "Île", "FRA", "France"),
        "FRA-2": (None, "FRA-2", None, "FRA", "France"),
        "KOS+99?": ("Pristina", "KOS+99?", "Pristina", "KOS", "Kosovo"),
        "NOR": ("Norway", None, None, "NOR", "Norway"),
    }


@pytest.mark.parametrize(("layers", "name"), [("ADM_{}", "COUNTRY"), ("level{}", "NAME_0")])
def test_gadm_4_1_and_3_6_name_layers_and_countries_differently(tmp_path, layers, name):
    path = tmp_path / "gadm.gpkg"
    zero = frame([box(0, 0, 4, 4), box(9, 0, 10, 1)], GID_0=["FRA", "VAT"], **{name: ["France", "Vatican City"]})
    one = frame([box(0, 0, 4, 4)], GID_0=["FRA"], GID_1=["FRA.1_1"], NAME_1=["South"], **{name: ["France"]})
    for number, level in enumerate((zero, one)):
        pyogrio.write_dataframe(level, path, layer=layers.format(number), append=number > 0)
    assert rows(read_areas([path])) == {
        "FRA.1_1": ("South", "FRA.1_1", "South", "FRA", "France"),
        "VAT": ("Vatican City", None, None, "VAT", "Vatican City"),
    }


def test_files_of_no_edition_are_named(tmp_path):
    with pytest.raises(HomingError, match=r"none of \['areas.geojson'\] is a GeoPackage of GADM's layers"):
        read_areas([tmp_path / "areas.geojson"])


def test_a_damaged_package_says_so(tmp_path):
    (tmp_path / "geoBoundariesCGAZ_ADM0.gpkg").write_bytes(b"<html>log in</html>")
    with pytest.raises(HomingError, match="ADM0.gpkg: cannot be read, retrieve it again"):
        read_areas([tmp_path / "geoBoundariesCGAZ_ADM0.gpkg"])
