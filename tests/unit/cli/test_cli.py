"""`homing predict` on a package, with every kind of image, and the files it writes."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from small_package import MODEL, make_package
from tiny_encoders import FAMILIES, build

from homing.cli import main
from homing.files import read_json, write_json
from homing.model.clip import build_clip
from homing.model.encoders import load_encoder
from homing.model.geolocator import load_geolocator
from homing.model.images import normalise, pixels
from homing.package.package import GeolocatorPackage


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    build_clip(MODEL, ["A photo."], 1).save(folder / "encoder")
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
    assert frame["expected_score"].between(0, 5000).all() and (frame["area_50_km2"] <= frame["area_90_km2"]).all()
    assert frame["probability"].is_monotonic_decreasing and frame["probability"].sum() <= 1 + 1e-6
    page = outputs[3].read_text(encoding="utf-8")
    assert page.count("<circle") == 5 and page.count('id="land"') == 1 and "http" not in page.replace("http-equiv", "")
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


def test_coarse_answers_are_countries_and_say_no_more(package, photos, tmp_path):
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
    answer = loaded.predict(images, coarse="country")
    expected = {"AAA": probability[:2].sum(), "NAM": probability[2:4].sum(), "CCC": probability[4:].sum()}
    assert dict(zip(answer["country"], answer["probability"], strict=True)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_packed_and_answers(family, photos, tmp_path):
    """The package alone, without the encoder's folder, gives what the encoder gives."""
    build(family).save_pretrained(tmp_path / "encoder")
    package = make_package(tmp_path, pooling="class")
    encoder = load_encoder(tmp_path / "encoder").eval()
    (tmp_path / "encoder").rename(tmp_path / "elsewhere")
    assert main(["predict", str(photos), "--model", str(package), "--output", str(tmp_path / "answers.csv")]) == 0
    assert len(rows(tmp_path / "answers.csv")) == 7 * 5
    image = Image.open(photos / "plain.jpg")
    loaded = GeolocatorPackage.load(package)
    ready = normalise(pixels(image, 32)[None], encoder.preprocessing)
    with torch.inference_mode():
        expected = encoder(ready, "class").numpy()
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
    expected = loaded.predict([views], top=1)
    assert answer["photo"].endswith("plain.jpg")
    assert float(answer["probability"]) == pytest.approx(expected["probability"].iloc[0], rel=1e-3)
    assert main([*arguments, "--views", "3"]) == 2
    assert "4 photos cannot be grouped into places of 3 views" in capsys.readouterr().err


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
        ({"output": "answers.xlsx"}, "must end with .csv, .parquet, .geojson or .html"),
        ({"top": "0"}, "ask for at least one answer"),
        ({"photo": "holiday*.jpg"}, "holiday*.jpg: no such file"),
        ({"device": "cuda"}, "torch finds no GPU"),
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
        *(["--device", given["device"]] if "device" in given else []),
    ]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_package_is_whole_readable_and_holds_no_pickle(package):
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {"config.json", "heads.safetensors", "encoder/model.safetensors", "cells.geojson", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".npz"))]
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in package.rglob("*") if path.is_file())


def test_a_damaged_package_is_an_error_not_an_answer(package, photos, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    (broken / "geolocator.json").write_text("{")
    assert main(["predict", str(photos / "plain.jpg"), "--model", str(broken)]) == 2
    assert "geolocator.json: not valid JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: change(folder / "config.json", format=1, versions={"homing": "0.0.9"}),
         "format 1, made by Homing 0.0.9; Homing 0.1.0 reads format 3"),
        (lambda folder: (folder / "encoder/model.safetensors").unlink(), "encoder/model.safetensors: missing"),
        (lambda folder: (folder / "refine/members.npy").unlink(), "refine/members.npy: missing"),
        (lambda folder: (folder / "heads.safetensors").write_bytes(b"short"), "the weights cannot be read"),
        (lambda folder: spoil_index(folder, width=8), "an index of 8 dimensions"),
        (lambda folder: spoil_index(folder, cell=6), "an index (refine/) with cell 6, where there are only 6"),
        (lambda folder: keep_cells(folder, 5), "heads for 6 cells beside a table of 5"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_named_with_the_cure(package, photos, tmp_path, capsys, spoil, message):
    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    spoil(broken)
    assert main(["predict", str(photos / "plain.jpg"), "--model", str(broken)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def change(path: Path, **values) -> None:
    write_json(path, read_json(path) | values)


def spoil_index(folder: Path, width: int | None = None, cell: int | None = None) -> None:
    if width:
        np.save(folder / "refine/members.npy", np.zeros((60, width), dtype=np.float16))
    if cell:
        prototypes = pd.read_parquet(folder / "refine/prototypes.parquet")
        prototypes.loc[len(prototypes) - 1, "cell_id"] = cell
        prototypes.to_parquet(folder / "refine/prototypes.parquet")


def keep_cells(folder: Path, count: int) -> None:
    pd.read_parquet(folder / "cells.parquet").head(count).to_parquet(folder / "cells.parquet")


def test_a_table_a_pattern_a_folder_and_a_list_ask_for_the_same(package, photos, tmp_path, monkeypatch):
    """Every way to name two photos; the table's ids are kept."""
    names = ["grey.png", "plain.jpg"]
    (photos / "few").mkdir()
    for name in names:
        shutil.copy(photos / name, photos / "few" / name)
    table = photos / "ask.csv"
    table.write_text("photo_id;path\nfirst;few/grey.png\nsecond;few/plain.jpg\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{photos / 'few' / name}\n" for name in names)))
    found = {}
    for kind, asked in {"table": table, "pattern": photos / "few/*", "folder": photos / "few", "list": "-"}.items():
        output = tmp_path / f"{kind}.csv"
        assert main(["predict", str(asked), "--model", str(package), "--output", str(output), "--quiet"]) == 0
        found[kind] = pd.read_csv(output)
    assert found["table"]["photo_id"].unique().tolist() == ["first", "second"]
    assert found["folder"]["photo_id"].unique().tolist() == ["grey", "plain"]
    for kind in ("pattern", "folder", "list"):
        pd.testing.assert_frame_equal(found[kind].drop(columns="photo_id"), found["table"].drop(columns="photo_id"))


def test_a_table_says_which_files_are_views_of_one_place(package, photos, tmp_path):
    (photos / "wide.csv").write_text("photo_id,file_0,file_1\nplace,plain.jpg,grey.png\n")
    (photos / "long.csv").write_text("photo_id,view,file\nplace,0,plain.jpg\nplace,1,grey.png\n")
    expected = GeolocatorPackage.load(package).predict([[photos / "plain.jpg", photos / "grey.png"]])
    for name in ("wide.csv", "long.csv"):
        output = tmp_path / "answers.parquet"
        assert main(["predict", str(photos / name), "--model", str(package), "--output", str(output)]) == 0
        answers = pd.read_parquet(output)
        assert set(answers["photo_id"]) == {"place"}
        np.testing.assert_allclose(answers["probability"], expected["probability"], rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column for the photos (looked for file, filename, path, image, img); it is empty"),
        ("file\n", "a table without rows"),
        ("photo_id,picture\n1,plain.jpg\n", "filename, path, image, img); it has photo_id, picture"),
        ("photo_id,file\n1,plain.jpg\n2,\n", "row 2: no file in 'file'"),
    ],
)  # fmt: skip
def test_a_table_that_names_no_photos_is_one_line(package, photos, capsys, text, message):
    (photos / "ask.csv").write_text(text)
    assert main(["predict", str(photos / "ask.csv"), "--model", str(package)]) == 2
    error = capsys.readouterr().err
    assert message in error and "ask.csv" in error and error.count("\n") == 1


def test_photos_that_are_not_there_are_left_out_and_without_any_nothing_is_written(package, photos, tmp_path, capsys):
    (photos / "ask.csv").write_text("file\nplain.jpg\ngone.jpg\n")
    output = tmp_path / "answers.csv"
    arguments = ["predict", str(photos / "ask.csv"), "--model", str(package), "--output", str(output)]
    assert main(arguments) == 1
    assert "gone.jpg: No such file" in capsys.readouterr().err and {row["photo_id"] for row in rows(output)} == {
        "plain"
    }
    output.unlink()
    (photos / "ask.csv").write_text("file\ngone.jpg\n")
    assert main(arguments) == 2
    assert "none of 1 photos could be read" in capsys.readouterr().err and not output.exists()


def test_coordinates_in_the_exif_are_reported_and_not_used(package, photos, tmp_path, capsys):
    image = Image.open(photos / "plain.jpg")
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (11.0, 0.0, 0.0)}
    image.save(photos / "with.jpg", exif=exif, quality=100, subsampling=0)
    image.save(photos / "without.jpg", quality=100, subsampling=0)
    output, asked = tmp_path / "answers.csv", [str(photos / name) for name in ("with.jpg", "without.jpg")]
    assert main(["predict", *asked, "--model", str(package), "--output", str(output)]) == 0
    assert "1 photo has GPS coordinates in the EXIF; they were not used" in capsys.readouterr().err
    answers = pd.read_csv(output).groupby("photo_id")
    assert answers["has_gps_exif"].first().to_dict() == {"with": True, "without": False}
    assert answers["latitude"].apply(list)["with"] == answers["latitude"].apply(list)["without"]


def test_answers_of_many_batches_are_those_of_one(package, photos, tmp_path, capsys):
    """150 photos, more than are prefetched or written at once, are each answered once and in order."""
    (photos / "ask.csv").write_text("photo_id,file\n" + "".join(f"{n},plain.jpg\n{n}b,grey.png\n" for n in range(75)))
    outputs = [tmp_path / f"answers.{suffix}" for suffix in ("csv", "parquet", "geojson", "html")]
    flags = [flag for path in outputs for flag in ("--output", str(path))]
    assert main(["predict", str(photos / "ask.csv"), "--model", str(package), "--top", "1", "--quiet", *flags]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "150 photos answered on cpu: 150 images" in captured.err
    table, frame = pd.read_csv(outputs[0], dtype={"photo_id": str}), pd.read_parquet(outputs[1])
    expected = [name for n in range(75) for name in (str(n), f"{n}b")]
    assert table["photo_id"].tolist() == frame["photo_id"].tolist() == expected
    assert [one["properties"]["photo_id"] for one in json.loads(outputs[2].read_text())["features"]] == expected
    assert frame.groupby(frame["photo_id"].str.endswith("b"))["probability"].agg(np.ptp).max() < 1e-5
    assert outputs[3].read_text().count("<circle") == 300
