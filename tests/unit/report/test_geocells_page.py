"""The page on the geocells shows their places, sizes and quality; the GeoPackage holds the same cells as the table."""

import re
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pages import Reader

from homing.geocells.compare import compare
from homing.geocells.export import write_geopackage
from homing.geocells.quality import measure, per_cell
from homing.report.geocells import (
    ERRORS_KM,
    ZOOM_ASPECT,
    Cells,
    densest,
    error_shades,
    photo_shades,
    render_geocells,
    zoom_height_km,
    zoomed,
)
from homing.sphere import KM_PER_DEGREE

CROWDS = {"Alpha": (50, 5), "Beta": (-30, 178), "Gamma": (75, -100)}  # latitude and longitude; one near 180 degrees


@pytest.fixture(scope="module")
def cells() -> gpd.GeoDataFrame:
    """Small squares, crowded in three countries and scattered in a fourth."""
    rng = np.random.default_rng(2)
    rows = []
    for name, (latitude, longitude) in CROWDS.items():
        rows += [(name, rng.normal(latitude, 2), rng.normal(longitude, 2)) for _ in range(60)]
    rows += [("<Delta>", rng.uniform(-50, 80), rng.uniform(-179, 179)) for _ in range(60)]
    frame = pd.DataFrame(rows, columns=["country_name", "latitude", "longitude"])
    frame["longitude"] = frame["longitude"].clip(-179, 179)
    frame["country"], frame["region"] = frame["country_name"].str[:3], frame["country_name"] + " region"
    frame["cell_id"] = np.arange(len(frame), dtype=np.int32)
    frame["name"] = [f"cell {number}." for number in frame["cell_id"]]
    frame["area_ids"] = [[f"a{number}", f"b{number}"] for number in frame["cell_id"]]
    frame["photos"] = rng.integers(1, 90, len(frame))
    frame["area_km2"], frame["radius_km"] = 400.0, 20.0
    shapes = shapely.box(*(frame[name] + side for side in (-0.1, 0.1) for name in ("longitude", "latitude")))
    return gpd.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326")


@pytest.fixture(scope="module")
def found(cells) -> Cells:
    """The cells with photos of a run near the centroids of all but the first."""
    rng = np.random.default_rng(3)
    photos = cells.loc[rng.integers(1, len(cells), 500), ["cell_id", "latitude", "longitude", "country"]]
    photos["latitude"] += rng.normal(0, 0.05, 500)
    photos = photos.assign(photo_id=[f"p{number}" for number in range(500)], split=rng.choice(["train", "test"], 500))
    photos["area_id"] = [f"a{cell_id}" for cell_id in photos["cell_id"]]
    areas = cells[["country", "geometry"]].assign(area_id=[f"a{n}" for n in cells["cell_id"]], region_id=None)
    exceptions = [{"cell_id": n, "photos": n, "reason": f"reason {n % 2}", "country": "Alp"} for n in range(45)]
    settings = {"method": "semantic", "max_radius_km": None, "min_photos": 20, "max_photos": 60}
    quality = measure(areas, cells, exceptions, photos, photos[photos["split"] == "train"], settings)
    return Cells(cells, per_cell(cells, photos), quality, [])


def test_zooms_show_where_most_centroids_are(cells):
    height_km = zoom_height_km(cells)
    regions = densest(cells, height_km)
    assert {region.name for region in regions} == {f"{name} region, {name}" for name in CROWDS}
    half = height_km / KM_PER_DEGREE / 2
    free = np.ones(len(cells), dtype=bool)
    for region in regions:
        counts, boxes = [], []
        for cell in cells.itertuples():
            north = min(cell.latitude, 84 - half)
            wide = ZOOM_ASPECT * half / np.cos(np.radians(north))
            east = min(max(cell.longitude, wide - 180), 180 - wide)
            box = (east - wide, north - half, east + wide, north + half)
            inside = cells["longitude"].between(box[0], box[2]) & cells["latitude"].between(box[1], box[3])
            counts.append(inside.sum())
            boxes.append(shapely.box(*box))
        window = region.window
        own = shapely.box(window.west, window.south, window.east, window.north)
        assert region.cells == max(np.array(counts)[free])
        assert window.width / window.height == pytest.approx(ZOOM_ASPECT) and window.east <= 180 and window.north <= 84
        free &= ~shapely.intersects(boxes, own)


def test_a_zoom_draws_each_cell_in_its_window_at_its_place(cells):
    region = densest(cells, 900)[0]
    window = region.window
    svg = zoomed(cells, region, cells["name"].tolist(), ["shade-0"] * len(cells))
    frame = shapely.box(window.west, window.south, window.east, window.north)
    within = cells[cells.within(frame)]
    assert len(within) > 30
    drawn = {title: start for start, title in re.findall(r'd="M(-?[\d.]+ ?-?[\d.]+)l[^>]*><title>(cell \d+\.)', svg)}
    for cell in within.itertuples():
        x, y = map(float, re.findall(r"-?[\d.]+", drawn[cell.name]))
        corners = [(window.x(lon), window.y(lat)) for lon, lat in cell.geometry.exterior.coords]
        assert min(np.hypot(x - left, y - top) for left, top in corners) < 0.1
    assert set(drawn) == set(cells["name"][cells.intersects(frame.buffer((window.east - window.west) / 30))])


def test_legends_are_true_of_every_cell():
    photos = np.array([1, 1, 1, 1, 5, 6, 7, 30, 31, 900])
    kinds, legend = photo_shades(photos)
    words = dict(legend)
    for count, kind in zip(photos, kinds, strict=True):
        ends = [int(text) for text in words[kind].split(" – ")]
        assert ends[0] <= count <= ends[-1]
    assert kinds == sorted(kinds) and set(kinds) == set(words)
    assert photo_shades(np.array([7, 7]))[1] == [("shade-0", "7")]
    kinds, legend = error_shades(np.array([0, 25, 25.1, 200, 9000, np.nan]))
    assert kinds == ["scale-0", "scale-0", "scale-1", "scale-2", "scale-4", "unknown"]
    assert len(legend) == len(ERRORS_KM) + 1 and len(error_shades(np.array([3.0]))[1]) == len(ERRORS_KM)


def test_the_page_is_complete_escaped_and_loads_nothing(found):
    page = render_geocells("demo", "toy", found)
    reader = Reader(page)
    assert not reader.open and all(value.startswith("#") for value in reader.loaded)
    assert len(reader.pictures) == 2 + 3 + 1 and all(reader.pictures)
    assert "<Delta>" not in page and "&lt;Delta&gt;" in page and "no photo of the run" in page
    assert "min 20" in page and "max 60" in page
    assert (
        "outside the limits: 45" in page and "23 because reason 0" in page and page.count('<th scope="row">cell ') == 20
    )
    assert "side by side" not in page and 'href="geocells.gpkg"' in page


@pytest.mark.parametrize(
    ("share", "words"),
    [(3e-16, "none"), (-2e-17, "none"), (0.0, "none"), (4e-6, "&lt; 0.001%"), (0.0002, "0.020%"), (0.034, "3.4%"),
     (None, "not clipped to the land")],
)  # fmt: skip
def test_the_share_of_land_that_is_lost_is_written_for_people(found, share, words):
    page = render_geocells("demo", "toy", replace(found, quality=found.quality | {"area_lost_share": share}))
    assert f"Share of the land in no cell, or in two</th><td>{words}</td>" in page


def test_no_figure_of_the_page_is_in_scientific_notation(found):
    assert not re.search(
        r"\de[-+]\d", re.sub("<svg.*?</svg>|<style.*?</style>", "", render_geocells("demo", "toy", found), flags=re.S)
    )


def test_other_partitions_stand_beside_it(found):
    rows = compare({"semantic": found.quality, "squares": found.quality | {"cells": 77}})
    page = render_geocells("demo", "toy", Cells(found.table, found.oracle_km, found.quality, rows))
    assert page.count('<th scope="row">squares</th>') == 4 and "squares</th><td>77</td>" in page
    assert not Reader(page).open


def test_maps_of_many_detailed_cells_stay_small():
    """A report holds three of them, beside photos and charts, and must be sent by mail: 15 MB."""
    corners = [(-180 + 6 * column, -60 + 3 * row) for column in range(60) for row in range(42)]
    shapes = [shapely.box(west, south, west + 6, south + 3).segmentize(0.1) for west, south in corners]
    count = len(shapes)
    cells = gpd.GeoDataFrame(
        {"cell_id": range(count), "name": "a name of some length", "region": "r", "country": "AAA", "photos": 9,
         "country_name": "Alpha", "latitude": [south + 1.5 for _, south in corners],
         "longitude": [west + 3.0 for west, _ in corners], "area_km2": 9.0, "radius_km": 150.0},
        geometry=shapes, crs="EPSG:4326",
    )  # fmt: skip
    photos = cells[["cell_id", "latitude", "longitude", "country"]].assign(
        photo_id=range(count), area_id="a", split="test"
    )
    areas = gpd.GeoDataFrame({"area_id": ["a"], "region_id": [None], "country": ["AAA"]}, geometry=[shapes[0]])
    quality = measure(areas, cells, [], photos, photos, {"method": "s2"})
    page = render_geocells("demo", "toy", Cells(cells, np.zeros(count), quality, []))
    assert count > 2500 and page.count("<path class=") > 2 * count and len(page) < 1_500_000


def test_the_geopackage_holds_the_cells(found, tmp_path):
    path = tmp_path / "geocells.gpkg"
    write_geopackage(path, found.table, found.oracle_km)
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["geocells"]
    again = gpd.read_file(path, layer="geocells", engine="pyogrio")
    assert again.crs.to_epsg() == 4326 and len(again) == len(found.table)
    assert again["area_ids"].str.split(",").tolist() == found.table["area_ids"].tolist()
    areas = [shapely.area(frame.geometry.to_numpy()) for frame in (again, found.table)]
    np.testing.assert_allclose(*areas, rtol=1e-12)
    np.testing.assert_array_equal(again["oracle_km"], found.oracle_km)
    assert np.isnan(again["oracle_km"].iloc[0])
    for name in ("cell_id", "name", "country", "photos", "latitude", "longitude", "radius_km"):
        assert (again[name] == found.table[name]).all()
