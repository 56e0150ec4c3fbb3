"""`homing predict` on a package, with every kind of image, and the files it writes."""

import csv
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
from PIL import Image
from tiny_encoders import FAMILIES, build

from homing.cli import main
from homing.files import atomic_path
from homing.model.clip import build_clip, save_clip
from homing.model.geolocator import REGRESSIONS, GeoHeads, Geolocator, LabelScales, load_geolocator, save_geolocator
from homing.model.images import normalise, pixels
from homing.model.package import GeolocatorPackage
from homing.model.towers import load_tower
from homing.refine.index import build_index
from homing.report.package import assemble

MODEL = {
    "pretrained": None, "revision": None, "image_side": 16, "patch": 8, "width": 16, "layers": 1, "heads": 2,
    "text_width": 16, "text_layers": 1, "projection": 8, "vocabulary": 300,
}  # fmt: skip
CELLS = 6


def make_package(folder: Path, pooling: str = "mean") -> Path:
    """A package as the rule package_model makes it, of an untrained model on folder/encoder with six cells in three
    countries."""
    rng = np.random.default_rng(0)
    vision = load_tower(folder / "encoder")
    torch.manual_seed(1)
    corners = rng.uniform(-50, 50, (CELLS, 2)).round()
    cells = gpd.GeoDataFrame(
        {"cell_id": range(CELLS), "name": [f"area {n}" for n in range(CELLS)],
         "region": [f"region {n // 2}" for n in range(CELLS)],
         "country": ["AAA", "AAA", "NAM", "NAM", "CCC", "CCC"], "country_name": ["A"] * 2 + ["Namibia"] * 2 + ["C"] * 2,
         "photos": 10, "latitude": corners[:, 0] + 1, "longitude": corners[:, 1] + 1},
        geometry=[shapely.box(east, north, east + 2, north + 2) for north, east in corners], crs="EPSG:4326",
    )  # fmt: skip
    scales = LabelScales(dict.fromkeys(REGRESSIONS, 0.0), dict.fromkeys(REGRESSIONS, 1.0))
    centroids = pd.DataFrame(cells[["cell_id", "latitude", "longitude"]])
    save_geolocator(
        folder / "finetuned",
        Geolocator(GeoHeads(16, CELLS), scales, centroids, pooling, vision.preprocessing, vision),
        True,
    )
    photos = pd.DataFrame({"photo_id": [f"p{n}" for n in range(40)], "cell_id": np.arange(40) % CELLS})
    photos["latitude"], photos["longitude"] = (corners[photos["cell_id"]] + rng.uniform(0, 2, (40, 2))).T
    build_index(photos, rng.normal(size=(40, 16)), [3, 0.15]).save(folder / "index")
    summary = {"n_test": 5, "median_km": 1.0, "refined_median_km": 1.0, "constant_guess_median_km": 9.0,
               "refined_within_25_km": 0.5, "refined_within_750_km": 0.9}  # fmt: skip
    about = {"run": "tiny", "refine": {"top_cells": 3, "temperature": 0.2, "max_move_km": None}, "summary": summary,
             "calibration": {"temperature": 1.0},
             "provenance": {"versions": {"homing": "0"}, "git_commit": None}}  # fmt: skip
    with atomic_path(folder / "model") as partial:
        assemble(partial, folder / "finetuned", folder / "encoder", folder / "index", cells, about)
    return folder / "model"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    save_clip(folder / "encoder", build_clip(MODEL, ["A photo."], 1))
    return make_package(folder)


@pytest.fixture
def photos(tmp_path) -> Path:
    grey = Image.radial_gradient("L").resize((50, 40))
    image = Image.merge("RGB", (grey, grey.rotate(90).resize((50, 40)), grey))
    image.save(tmp_path / "plain.jpg", quality=100, subsampling=0)
    image.save(tmp_path / "web.webp", lossless=True)
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    image.convert("P").save(tmp_path / "palette.png")
    grey.save(tmp_path / "grey.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x8825] = {1: "N", 2: (48.0, 0.0, 0.0)}
    image.rotate(180).save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_kind_of_image_is_answered_alike(package, photos, tmp_path, capsys):
    output = tmp_path / "answers.csv"
    assert main(["predict", str(photos), "--model", str(package), "--top", "2", "--output", str(output)]) == 0
    answers = rows(output)
    assert len(answers) == 7 * 2 and capsys.readouterr().out.count("\n") == 7 * 3
    first = {Path(row["photo"]).name: row for row in answers if row["rank"] == "0"}
    for name in ("web.webp", "turned.jpg", "cmyk.jpg"):
        assert float(first[name]["probability"]) == pytest.approx(float(first["plain.jpg"]["probability"]), abs=0.03)
    assert first["grey.png"]["probability"] == first["deep.png"]["probability"]


def test_all_formats_say_the_same(package, photos, tmp_path):
    outputs = [tmp_path / f"answers.{suffix}" for suffix in ("csv", "geojson", "parquet", "html")]
    flags = [flag for path in outputs for flag in ("--output", str(path))]
    assert main(["predict", str(photos / "plain.jpg"), "--model", str(package), *flags]) == 0
    table, features = rows(outputs[0]), json.loads(outputs[1].read_text())["features"]
    frame = pd.read_parquet(outputs[2])
    assert len(table) == len(features) == len(frame) == 5
    for row, feature, values in zip(table, features, frame.itertuples(), strict=True):
        assert feature["geometry"]["coordinates"] == [values.longitude, values.latitude]
        assert float(row["latitude"]) == pytest.approx(values.latitude, rel=1e-4)
    assert frame["probability"].is_monotonic_decreasing and frame["probability"].sum() <= 1 + 1e-6
    page = outputs[3].read_text(encoding="utf-8")
    assert page.count("<circle") == 5 and "http" not in page.replace("http-equiv", "")
    assert "area " in page and "default-src 'none'" in page


def test_without_refinement_the_answer_is_a_centroid(package, photos, tmp_path):
    output = tmp_path / "answers.csv"
    arguments = ["predict", str(photos / "plain.jpg"), "--model", str(package), "--output", str(output)]
    assert main([*arguments, "--no-refine"]) == 0
    centroids = pd.read_parquet(package / "cells.parquet").set_index("cell_id")
    for row in rows(output):
        assert float(row["latitude"]) == pytest.approx(centroids.loc[int(row["cell_id"]), "latitude"])
    assert main(arguments) == 0
    assert any(
        float(row["latitude"]) != pytest.approx(centroids.loc[int(row["cell_id"]), "latitude"]) for row in rows(output)
    )


def test_coarse_answers_are_countries_and_tell_no_more(package, photos, tmp_path):
    output = tmp_path / "answers.csv"
    arguments = ["predict", str(photos), "--model", str(package), "--output", str(output), "--coarse", "country"]
    assert main(arguments) == 0
    answers = pd.read_csv(output, keep_default_na=False)
    assert set(answers["country"]) == {"AAA", "NAM", "CCC"} and "cell_id" not in answers and "name" not in answers
    assert answers.groupby("country")["latitude"].nunique().max() == 1
    assert answers.groupby("photo")["probability"].sum().to_numpy() == pytest.approx(1, abs=1e-4)


def test_coarse_probabilities_are_sums_over_cells(package, photos):
    loaded = GeolocatorPackage.load(package)
    images = [Image.open(photos / "plain.jpg")]
    probability = load_geolocator(package).predict_vectors(loaded.embed(images))["cell_probability"][0]
    (answer,) = loaded.predict_coarse(images, "country")
    expected = {"AAA": probability[:2].sum(), "NAM": probability[2:4].sum(), "CCC": probability[4:].sum()}
    assert dict(zip(answer["country"], answer["probability"], strict=True)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_packed_and_answers(family, photos, tmp_path):
    """The package alone, without the encoder's folder, gives what the encoder gives."""
    build(family).save_pretrained(tmp_path / "encoder")
    package = make_package(tmp_path, pooling="class")
    tower = load_tower(tmp_path / "encoder").eval()
    (tmp_path / "encoder").rename(tmp_path / "elsewhere")
    assert main(["predict", str(photos), "--model", str(package), "--output", str(tmp_path / "answers.csv")]) == 0
    assert len(rows(tmp_path / "answers.csv")) == 7 * 5
    image = Image.open(photos / "plain.jpg")
    loaded = GeolocatorPackage.load(package)
    ready = normalise(pixels(image, 32)[None], tower.preprocessing)
    with torch.inference_mode():
        expected = tower(ready, "class").numpy()
    np.testing.assert_allclose(loaded.embed([image]), expected, rtol=1e-4, atol=1e-5)


def test_a_place_in_views_is_the_mean_of_its_views(package, photos, tmp_path, capsys):
    loaded = GeolocatorPackage.load(package)
    names = ["plain.jpg", "grey.png", "palette.png", "web.webp"]
    views = [Image.open(photos / name).convert("RGB") for name in names]
    together = loaded.embed([views, views[::-1]])
    np.testing.assert_allclose(together, np.tile(loaded.embed(views).mean(axis=0), (2, 1)), rtol=1e-4, atol=1e-5)
    output = tmp_path / "answers.csv"
    arguments = ["predict", *[str(photos / name) for name in names], "--model", str(package), "--output", str(output)]
    assert main([*arguments, "--views", "4", "--top", "1"]) == 0
    (answer,) = rows(output)
    (expected,) = loaded.predict([views], top=1)
    assert answer["photo"].endswith("plain.jpg")
    assert float(answer["probability"]) == pytest.approx(expected["probability"].iloc[0], rel=1e-3)
    assert main([*arguments, "--views", "3"]) == 2
    assert "4 photos are not 3 of each place" in capsys.readouterr().err


def test_a_photo_that_cannot_be_read_is_named_and_the_others_answered(package, photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"nothing")
    output = tmp_path / "answers.csv"
    assert main(["predict", str(photos), "--model", str(package), "--output", str(output)]) == 1
    assert "broken.jpg: not an image" in capsys.readouterr().err
    assert len({row["photo"] for row in rows(output)}) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photo": "absent.jpg"}, "absent.jpg: no such file"),
        ({"model": "."}, "no model package; give the folder results/runs"),
        ({"output": "answers.xlsx"}, "end it with .csv, .parquet, .geojson or .html"),
        ({"top": "0"}, "ask for at least one answer"),
    ],
)
def test_wrong_arguments_are_one_line(package, photos, tmp_path, capsys, changes, message):
    given = {"photo": str(photos / "plain.jpg"), "model": str(package), "output": "x.csv", "top": "3"} | changes
    arguments = [
        "predict",
        given["photo"],
        "--model",
        given["model"],
        "--output",
        given["output"],
        "--top",
        given["top"],
    ]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_package_is_whole_readable_and_holds_no_pickle(package):
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {"config.json", "heads.safetensors", "vision/model.safetensors", "cells.geojson", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".npz"))]
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in package.rglob("*") if path.is_file())


def test_a_damaged_package_is_an_error_not_an_answer(package, photos, tmp_path, capsys):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    (broken / "geolocator.json").write_text("{")
    assert main(["predict", str(photos / "plain.jpg"), "--model", str(broken)]) == 2
    assert "geolocator.json: not valid JSON" in capsys.readouterr().err
