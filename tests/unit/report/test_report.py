"""Maps, charts and number formats of the pages."""

import re
import xml.etree.ElementTree as ElementTree

import geopandas as gpd
import numpy as np
import pytest
import shapely

from homing.geocells.export import simplified_outlines
from homing.report.charts import error_curves, loss_curves, reliability, risk_curve, speed_curves, validation_curve
from homing.report.maps import SHAPES, WORLD, Map, Outline, Window, definitions, outlines_of
from homing.templates import duration, environment, km


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.sub(r'xmlns(:\w+)?="[^"]*"|xlink:', "", svg))


def test_a_map_puts_places_where_they_are():
    world = Map()
    world.point(0.0, 0.0, 3, "near", "Null Island <&>")
    circle = parsed(world.svg()).find("circle")
    assert (float(circle.get("cx")), float(circle.get("cy"))) == (WORLD.x(0), pytest.approx(WORLD.y(0), abs=0.05))
    assert circle.find("title").text == "Null Island <&>"
    assert WORLD.x(-180) == 0 and WORLD.x(180) == 1000


def test_a_map_of_a_window_is_true_to_scale_at_its_latitude():
    window = Window(10, 58, 18, 62, true_latitude=60, width=500)
    assert window.height == pytest.approx(500, rel=1e-12)  # at 60 degrees a degree of longitude is half as long
    assert (window.x(14), window.y(60)) == (250, pytest.approx(250))


def test_steps_of_a_path_add_up_to_the_places():
    rng = np.random.default_rng(4)
    ring = np.column_stack([rng.uniform(-180, 180, 300), rng.uniform(-55, 80, 300)])
    world = Map()
    world.land([Outline((tuple(map(tuple, ring)),))])
    start, steps = re.fullmatch(r"M(.*)l(.*)Z", parsed(world.svg()).find("path").get("d")).groups()
    numbers = np.array([float(text) for text in re.findall(r"-?[0-9.]+", f"{start} {steps}")]).reshape(-1, 2)
    places = [(WORLD.x(longitude), WORLD.y(latitude)) for longitude, latitude in ring]
    np.testing.assert_allclose(numbers.cumsum(axis=0), places, atol=0.0501)


def test_a_line_takes_the_short_way_over_the_antimeridian():
    world = Map()
    world.line((10.0, 170.0), (20.0, -170.0), "error")
    lines = parsed(world.svg()).findall("line")
    lengths = [abs(float(line.get("x2")) - float(line.get("x1"))) for line in lines]
    assert len(lines) == 2 and max(lengths) == pytest.approx(20 * 1000 / 360, abs=0.2)


def test_a_window_over_the_antimeridian_shows_both_sides_once():
    window = Window(170, -30, 200, -10, true_latitude=-20, width=300)
    drawing = Map(window)
    drawing.shared_land()
    drawing.land([Outline((((-180.0, -20.0), (-170.0, -20.0), (-170.0, -15.0)),))])
    for longitude in (175.0, -175.0):
        drawing.point(-20.0, longitude, 3, "near")
    picture = parsed(drawing.svg())
    assert [float(circle.get("cx")) for circle in picture.findall("circle")] == [50, 150]
    assert [use.get("transform").split()[-2] for use in picture.findall("use")] == ["-3500.00", "100.00"]
    starts = [float(start) for start in re.findall(r"M(-?[0-9.]+)", picture.find("path").get("d"))]
    assert starts == [-3500, 100]  # the second is seen


def test_an_arrow_goes_the_short_way_and_has_a_head():
    world = Map()
    world.arrow((10.0, 170.0), (20.0, -170.0), 2.0, "arrow", "<east>")
    group = parsed(world.svg()).find("g")
    shafts = [[float(text) for text in re.findall(r"-?[0-9.]+", path.get("d"))] for path in group.findall("path")]
    assert len(shafts) == 2 and all(0 < shaft[2] - shaft[0] < 20 * 1000 / 360 for shaft in shafts)
    assert len(group.findall("polygon")) == 2 and group.find("title").text == "<east>"
    short = Map()
    short.arrow((0.0, 0.0), (0.5, 0.0), 1.0, "arrow", "north")
    assert parsed(short.svg()).find("g").find("path") is None  # all head


def test_marks_differ_in_shape_and_hatches_in_pattern():
    world = Map()
    for shape in ("circle", *SHAPES):
        world.mark(0.0, 0.0, 5, shape, "near")
    drawn = parsed(world.svg())
    assert len({polygon.get("points") for polygon in drawn.findall("polygon")}) == len(SHAPES)
    shared = parsed(definitions([Outline((((0.0, 0.0), (9.0, 0.0), (9.0, 9.0)),))]))
    patterns = [ElementTree.tostring(pattern.find("g")) for pattern in shared.iter("pattern")]
    assert len(patterns) == len(set(patterns)) == 5 and shared.get("aria-hidden") == "true"


def test_charts_of_one_page_share_no_ids():
    charts = [reliability([0.1, 0.5], [0.2, 0.6], [3, 4], label) for label in ("one", "two")]
    charts += [error_curves({"refined": np.array([1.0, 50])}), risk_curve([0.5, 1.0], [10.0, 20.0])]
    ids = [name for chart in charts for name in set(re.findall(r' id="([^"]+)"', chart))]
    used = {name for chart in charts for name in re.findall(r'(?:url\(#|href="#)([^)"]+)', chart)}
    assert used == set(ids)


def test_outlines_keep_holes_and_names():
    shape = shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(3, 3), (6, 3), (6, 6), (3, 6)]])
    frame = gpd.GeoDataFrame({"name": ["ring"]}, geometry=[shape], crs="EPSG:4326")
    (outline,) = outlines_of(frame.__geo_interface__)
    assert len(outline.rings) == 2 and outline.title == "ring"
    world = Map()
    world.land([outline])
    assert parsed(world.svg()).find("path").get("d").count("M") == 2


def test_simplified_cells_still_touch_and_none_vanishes():
    cells = gpd.GeoDataFrame(
        {"cell_id": [0, 1, 2], "name": list("abc"), "region": "R", "country_name": "C", "photos": 1},
        geometry=[shapely.box(0, 0, 5, 5).segmentize(0.125), shapely.box(5, 0, 9, 5).segmentize(0.125),
                  shapely.box(20, 20, 20.01, 20.01)], crs="EPSG:4326",
    )  # fmt: skip
    simple = simplified_outlines(cells, 0.3)
    assert shapely.area(shapely.union_all(simple.geometry.iloc[:2].to_numpy())) == pytest.approx(45)
    assert shapely.get_num_coordinates(simple.geometry.to_numpy())[:2].max() < 12
    assert not simple.geometry.is_empty.any()


def test_charts_are_plain_svg():
    history = [
        {"step": step, "epoch": 0, "loss": 3.0 / step, "loss.cell": 2.0 / step, "loss.month": 1.0 / step}
        for step in range(1, 60)
    ]
    timed = [entry | {"photos_per_second": 90.0, "waiting_share": 0.025} for entry in history]
    history.append({"step": 59, "epoch": 0, "val_median_km": 700.0})
    charts = [
        error_curves({"refined": np.array([1.0, 50, 9000]), "constant": np.array([4000.0, 5000])}),
        loss_curves(history),
        speed_curves({"pretrain": timed}),
        validation_curve(history, "val_median_km", "km"),
    ]
    for chart in charts:
        assert parsed(chart).get("viewBox") and "http" not in re.sub(
            r'xmlns(:\w+)?="[^"]*"', "", chart.split("<defs")[0][:300]
        )
    assert error_curves({"refined": np.array([1.0])}) == error_curves({"refined": np.array([1.0])})
    assert "pretrain: 2.5 % of the time waiting" in speed_curves({"pretrain": timed})
    assert validation_curve(history[:5], "val_median_km", "km") is None


def test_charts_show_figures_that_are_not_finite_as_gaps():
    """The history holds null for them, as JSON has no other word."""
    steps = [{"step": step, "epoch": 0, "loss": None if step == 5 else 1.0 / step} for step in range(1, 20)]
    epochs = [{"step": 9, "epoch": epoch, "val_median_km": km} for epoch, km in enumerate([700.0, None, 500.0])]
    for chart in (loss_curves(steps), validation_curve(epochs, "val_median_km", "km")):
        assert parsed(chart).get("viewBox")
    assert parsed(loss_curves([{"step": 1, "epoch": 0, "loss": None}])).get("viewBox")
    assert parsed(validation_curve(epochs[1:2], "val_median_km", "km")).get("viewBox")


def test_figures_have_the_digits_that_matter():
    assert [km(value) for value in (1234.56, 12.3, 2.34, None)] == ["1,235 km", "12 km", "2.3 km", "–"]
    assert [duration(value) for value in (3, 400, 9000)] == ["3 s", "7 min", "2.5 h"]


def test_what_is_put_into_a_page_is_escaped():
    first = {"expected_score": 1.0, "has_gps_exif": False}
    photo = {"name": "<script>alert(1)</script>", "image": "data:,", "answers": [], "map": "<svg></svg>"}
    photo |= {"first": first, "half": "1 km²", "most": "2 km²"}
    page = environment().get_template("predictions.html.j2").render(photos=[photo], total=1, dots=9, land="", every="")
    assert "<script" not in page and "&lt;script&gt;" in page and "<svg></svg>" in page
