"""The model package: answers against plain loops and the workflow's functions, and the content of exports."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from small_package import CELLS, METRICS, MODEL, SETTINGS, make_cells, make_package, make_photos
from tiny_encoders import build
from transformers import AutoImageProcessor, AutoModel, CLIPVisionModel

import homing
from homing.cli import main
from homing.errors import HomingError
from homing.files import read_json
from homing.model.clip import build_clip
from homing.model.geolocator import load_geolocator
from homing.package.export import ExportOptions, export_hugging_face, export_package
from homing.package.limits import DEGREES, MIN_PHOTOS
from homing.package.onnx import angles_degrees, export_onnx
from homing.photos.images import PhotoError
from homing.refine.readout import best_score, hierarchical, median_point, mode_mean
from homing.refine.retrieve import gated, nearest_photos
from homing.refine.search import refine
from homing.refine.table import best_cells
from homing.sphere import haversine_km


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    build_clip(MODEL, ["A photo."], 1).save(folder / "encoder")
    return make_package(folder)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)) for _ in range(7)]


def oracle_region_km2(probability: np.ndarray, areas: np.ndarray, level: float) -> float:
    total, area = 0.0, 0.0
    for cell in sorted(range(len(probability)), key=lambda one: -probability[one]):
        if total >= level:
            break
        total, area = total + probability[cell], area + areas[cell]
    return area


def test_scores_and_areas_equal_those_of_a_loop(package, images):
    loaded = homing.load(package)
    answers = loaded.predict(images, top=CELLS, readout="classifier")
    vectors = loaded.embed(images)
    probability = load_geolocator(package, heads_only=True).predict_vectors(vectors)["cell_probability"]
    cells = pd.read_parquet(package / "cells.parquet")
    assert answers.groupby("photo")["probability"].sum().to_numpy() == pytest.approx(1, abs=1e-5)
    for row in answers.itertuples():
        distance_km = haversine_km(row.latitude, row.longitude, cells["latitude"], cells["longitude"])
        expected = 5000 * (probability[row.photo] * np.exp(-distance_km / 1492.7)).sum()
        assert row.expected_score == pytest.approx(expected, rel=1e-5)
        assert row.probability == pytest.approx(probability[row.photo, row.cell_id], rel=1e-5)
        for level, found in ((0.5, row.area_50_km2), (0.9, row.area_90_km2)):
            assert found == oracle_region_km2(probability[row.photo], cells["area_km2"].to_numpy(), level)


def test_each_readout_answers_as_in_the_workflow(package, images):
    loaded = homing.load(package)
    vectors = loaded.embed(images)
    best = best_cells(loaded.probabilities(vectors), loaded.geolocator.cells, SETTINGS["top_cells"])
    index = loaded.places.index
    refined = refine(index, vectors, best, SETTINGS["temperature"], None)
    rules = {
        "classifier": best, "refined": refined, "mode": mode_mean(refined, SETTINGS["mode_radius_km"]),
        "score": best_score(refined, None), "median": median_point(refined),
        "hierarchy": hierarchical(refined, np.arange(CELLS)[None] // 2, SETTINGS["hierarchy_weight"]),
        "retrieval": gated(refined, nearest_photos(index, vectors), index, SETTINGS["gate_similarity"]),
    }  # fmt: skip
    for readout, expected in rules.items():
        answers = loaded.predict(images, top=CELLS, readout=readout)
        first = answers[answers["rank"] == 0]
        np.testing.assert_allclose(first["latitude"], expected.latitude[:, 0], err_msg=readout)
        np.testing.assert_array_equal(first["cell_id"], expected.cell_id[:, 0], err_msg=readout)
        assert answers.groupby("photo")["cell_id"].nunique().tolist() == [CELLS] * len(images), readout
    assert len({tuple(rules[name].latitude[:, 0]) for name in rules}) >= 5


def test_refinement_uses_as_many_cells_as_the_run(package, images):
    """The first answer does not depend on how many answers are asked for."""
    loaded = homing.load(package)
    firsts = [loaded.predict(images, top=top).query("rank == 0")["latitude"].tolist() for top in (1, CELLS)]
    assert firsts[0] == firsts[1]


def test_a_calibrated_package_divides_its_logits(tmp_path, images):
    build_clip(MODEL, ["A photo."], 1).save(tmp_path / "encoder")
    loaded = homing.load(make_package(tmp_path, calibration=2.5))
    heads = loaded.geolocator.heads
    with torch.inference_mode():
        logits = heads(torch.from_numpy(loaded.embed(images)))["cell"].double().numpy() / 2.5
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answers = loaded.predict(images, top=1, readout="classifier")
    np.testing.assert_allclose(answers["probability"], expected.max(axis=1), rtol=1e-5)


def test_paths_images_and_views_give_equal_answers(package, images, tmp_path):
    path = tmp_path / "photo.png"
    images[0].save(path)
    loaded = homing.load(package)
    answers = loaded.predict([path, str(path), images[0], [path, images[0]]], top=2)
    assert answers["photo"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert answers.groupby("rank")["probability"].agg(np.ptp).max() < 1e-6
    assert list(loaded.predict([], top=2).columns) == list(answers.columns)
    with pytest.raises(PhotoError, match=r"gone\.jpg: No such file"):
        loaded.predict([tmp_path / "gone.jpg"])


def test_importing_is_cheap_and_loading_needs_no_geo_library(package):
    absent = ["geopandas", "shapely", "rasterio", "pyogrio", "pyproj", "dask", "distributed"]
    code = (
        f"import sys; sys.modules |= dict.fromkeys({absent}); import homing; assert 'numpy' not in sys.modules;"
        f"from PIL import Image; print(len(homing.load({str(package)!r}).predict([Image.new('RGB', (20, 20))], top=2)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "2\n", done.stderr


def secrets() -> np.ndarray:
    """Return every unrounded coordinate that comes from photos: their own, and the centroids of cells."""
    cells = make_cells()
    photos = make_photos(np.floor(cells[["latitude", "longitude"]].to_numpy()))
    return np.concatenate([photos[["latitude", "longitude"]].to_numpy().ravel(), [1.2345678]])


def numbers_in(folder: Path) -> np.ndarray:
    """Return all numbers in the tables and JSON files of a folder."""
    found = [frame.select_dtypes("number").to_numpy(dtype=float).ravel()
             for frame in map(pd.read_parquet, folder.rglob("*.parquet"))]  # fmt: skip

    def walk(content):
        if isinstance(content, dict | list):
            for one in content.values() if isinstance(content, dict) else content:
                yield from walk(one)
        elif isinstance(content, int | float):
            yield float(content)

    for path in [*folder.rglob("*.json"), *folder.rglob("*.geojson")]:
        found.append(np.fromiter(walk(json.loads(path.read_text())), float))
    return np.concatenate(found)


@pytest.mark.parametrize(
    "options", [ExportOptions(photos=False), ExportOptions(answers="region"), ExportOptions(answers="country")]
)
def test_an_export_without_photos_has_no_name_or_place_of_a_training_photo(package, tmp_path, options):
    export_package(package, tmp_path / "out", options)
    export_hugging_face(package, tmp_path / "hf", options)
    for folder in (tmp_path / "out", tmp_path / "hf"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert not [path for path in files if b"secret" in path.read_bytes()]
        assert not [path for path in files if path.suffix == ".npy"]
        numbers = np.unique(numbers_in(folder))
        assert not np.isclose(numbers[:, None], secrets()[None], rtol=0, atol=1e-9).any()
    whole = np.unique(numbers_in(package))
    assert np.isclose(whole[:, None], secrets()[None], rtol=0, atol=1e-9).any(), "the test sees nothing"


def test_cells_with_few_photos_are_placed_in_the_middle_of_their_land(package, tmp_path):
    export_package(package, tmp_path / "out", ExportOptions(photos=False))
    cells, land = pd.read_parquet(tmp_path / "out/cells.parquet"), make_cells()
    few = (land["photos"] < MIN_PHOTOS).to_numpy()
    assert few.sum() == 1 and cells.loc[few, "photos"].eq(0).all()
    west, south, east, north = land.bounds.loc[few].to_numpy().T
    np.testing.assert_allclose(cells.loc[few, "latitude"], (south + north) / 2, atol=1e-6)
    np.testing.assert_allclose(cells.loc[few, "longitude"], (west + east) / 2, atol=1e-6)
    offset = np.abs(cells.loc[~few, ["latitude", "longitude"]].to_numpy() - land.loc[~few, ["latitude", "longitude"]])
    assert (offset <= DEGREES / 2 + 1e-9).all(axis=None)


def test_without_photos_readouts_that_need_them_are_refused(package, images, tmp_path):
    export_package(package, tmp_path / "out", ExportOptions(photos=False))
    loaded = homing.load(tmp_path / "out")
    for readout in (None, "classifier", "mode", "score", "median", "hierarchy"):
        assert len(loaded.predict(images, top=2, readout=readout)) == 2 * len(images)
    for readout in ("refined", "retrieval"):
        with pytest.raises(HomingError, match=r"exported without them; it answers by classifier, mode"):
            loaded.predict(images, readout=readout)
    assert "without its training photos" in (tmp_path / "out/README.md").read_text()


def test_a_missing_hierarchy_is_named(package, images, tmp_path):
    copy = shutil.copytree(package, tmp_path / "model")
    (copy / "hierarchy.parquet").unlink()
    loaded = homing.load(copy)
    assert len(loaded.predict(images, top=1, readout="median")) == len(images)
    with pytest.raises(HomingError, match=r"no hierarchy\.parquet; copy it again"):
        loaded.predict(images, readout="hierarchy")


@pytest.mark.parametrize("level", ["country", "region"])
def test_a_limited_package_gives_equal_coarse_answers_and_refuses_finer_ones(package, images, tmp_path, capsys, level):
    export_package(package, tmp_path / "out", ExportOptions(answers=level))
    limited, whole = homing.load(tmp_path / "out"), homing.load(package)
    expected, answers = whole.predict(images, coarse=level), limited.predict(images)
    columns = ["photo", "rank", "country", "country_name", "probability", "area_50_km2", "area_90_km2"]
    pd.testing.assert_frame_equal(answers[columns], expected[columns], check_dtype=False, rtol=1e-5)
    images[0].save(tmp_path / "photo.png")
    for asked in (["--readout", "classifier"], ["--coarse", "region"])[: 2 if level == "country" else 1]:
        assert main(["predict", str(tmp_path / "photo.png"), "--model", str(tmp_path / "out"), *asked]) == 2
        assert f"it was exported with --answers {level}" in capsys.readouterr().err
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"area 1" not in content and (level == "region" or b"region 1" not in content)
    heads = load_geolocator(tmp_path / "out").heads
    assert not heads.direction.weight.any() and not heads.regression.weight.any() and heads.month.weight.any()


def test_a_limit_cannot_be_removed_by_another_export(package, tmp_path):
    export_package(package, tmp_path / "country", ExportOptions(answers="country"))
    with pytest.raises(HomingError, match="it was exported with --answers country"):
        export_package(tmp_path / "country", tmp_path / "region", ExportOptions(answers="region"))
    export_package(tmp_path / "country", tmp_path / "again", ExportOptions())
    assert homing.load(tmp_path / "again").config["answers"] == "country"


def test_the_hugging_face_layout_is_read_by_transformers_and_by_us(package, images, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["export", str(package), "--to", "hf", str(tmp_path / "hf")]) == 0
    square = [image.resize((16, 16)) for image in images]  # the encoder's size: nobody has to resize
    pictures = AutoImageProcessor.from_pretrained(tmp_path / "hf")(square, return_tensors="pt")
    whole = homing.load(package)
    for kind in (AutoModel, CLIPVisionModel):
        model = kind.from_pretrained(tmp_path / "hf").eval()
        with torch.inference_mode():
            vectors = model(**pictures).last_hidden_state.mean(dim=1).numpy()
        np.testing.assert_allclose(vectors, whole.embed(square), rtol=1e-4, atol=1e-5)
    names = {path.name for path in (tmp_path / "hf").iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json", "README.md", "homing"}
    pd.testing.assert_frame_equal(homing.load(tmp_path / "hf").predict(images), whole.predict(images), rtol=1e-4)


def test_the_model_card_has_the_metrics_of_the_run(package):
    _, front, body = (package / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    results = yaml.safe_load(front)["model-index"][0]["results"]
    for result, readout in zip(results, ("classifier", "refined"), strict=True):
        assert readout in result["task"]["name"]
        for metric in result["metrics"]:
            assert metric["value"] == METRICS["readouts"][readout][metric["type"]]
        assert len(result["metrics"]) == 4
    assert "| median error, km | 322 (300 to 351) | 328 (300 to 351) | 5,322 (300 to 351) |" in body
    assert "| within 25 km | 12.3% (10.0% to 15.0%) |" in body and "1,234 held-out photos" in body
    assert "Photographers: 2 in training, 2 in the held-out photos, 1 in both." in body
    assert "| toy photos | CC0 |" in body and "0123456789ab" in body


def test_an_export_does_not_overwrite(package, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert main(["export", str(package), "--to", "hf", str(tmp_path / "mine")]) == 2
    assert "mine: exists already" in capsys.readouterr().err
    assert main(["export", str(package), "--to", "keras", str(tmp_path / "new")]) == 2
    assert "--to keras: must be one of package, hf, onnx" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["clip", "dinov3_vit"])
def test_onnx_equals_torch_for_any_number_of_photos(family, tmp_path, images):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install homing[onnx]")
    build(family).save_pretrained(tmp_path / "encoder")
    package = make_package(tmp_path, pooling="class")
    parity = export_onnx(package, tmp_path / "model.onnx", ExportOptions())
    assert parity["top1_equal_share"] == 1 and parity["largest_angle_degrees"] < 0.01
    assert read_json(tmp_path / "model.json")["parity"] == parity
    assert len(pd.read_csv(tmp_path / "model.cells.csv")) == CELLS
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    loaded = homing.load(package)
    for count in (1, 7):
        pixels = torch.stack([loaded.prepare(image).pixels for image in images[:count]]).numpy()
        vectors, cell = session.run(["image_embedding", "cell"], {"pixels": pixels})
        assert angles_degrees(vectors, loaded.embed(images[:count])).max() < 0.01
        exact = torch.softmax(torch.from_numpy(cell), dim=1).numpy()
        np.testing.assert_allclose(exact, loaded.probabilities(loaded.embed(images[:count])), atol=1e-5)


def test_a_limited_onnx_model_outputs_cells_only(package, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install homing[onnx]")
    export_onnx(package, tmp_path / "model.onnx", ExportOptions(answers="country"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["image_embedding", "cell"]
    assert pd.read_csv(tmp_path / "model.cells.csv")[["name", "region"]].isna().all(axis=None)
