"""`homing init`: tables of every dialect are recognised, and answers become files that the schema accepts."""

import argparse
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from homing.cli import main
from homing.cli.init import add_arguments, as_text, complete
from homing.errors import HomingError
from homing.plan.estimate import read_config
from homing.setup.look import inspect_table
from homing.setup.write import DATASETS, Answers, configuration_text, profile_text

ROWS = [("a", -33.8, 151.2, "one/a.jpg"), ("b", 64.1, -21.9, "one/b.jpg"), ("c", 52.5, 13.4, "two/c.jpg")]
HEADERS = {
    "usual": ("photo_id", "latitude", "longitude", "file"),
    "short": ("id", "lat", "lng", "image"),
    "panoramas": ("panoid", "Lat", "Lon", "filename"),
    "exported": ("uuid", "GPS_Latitude", "GPS_Longitude", "image_path"),
    "gis": ("key", "y", "x", "filepath"),
}


@pytest.fixture
def photos(tmp_path) -> Path:
    for *_, name in ROWS:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"picture")
    return tmp_path / "photos"


def table(folder: Path, header, rows=ROWS, separator=",", begin="") -> Path:
    path = folder / "photos.csv"
    lines = [separator.join(map(str, row)) for row in (header, *rows)]
    path.write_text(begin + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(("separator", "begin"), [(",", ""), (";", "\ufeff"), ("\t", "")])
def test_columns_are_recognised_whatever_their_names_and_dialect(tmp_path, photos, name, separator, begin):
    found = inspect_table(table(tmp_path, HEADERS[name], separator=separator, begin=begin), photos, {})
    assert [(row["photo_id"], float(row["latitude"]), row["file"]) for row in found.shown] == [
        (photo_id, latitude, file) for photo_id, latitude, _, file in ROWS
    ]
    assert (found.rows, found.checked, found.missing, found.swapped, found.match) == (3, 3, [], False, "path")


def test_parquet_is_recognised_too(tmp_path, photos):
    path = tmp_path / "photos.parquet"
    pd.DataFrame(ROWS, columns=HEADERS["short"]).to_parquet(path)
    assert inspect_table(path, photos, {}).rows == 3


def test_swapped_columns_are_noticed_by_their_range(tmp_path, photos):
    found = inspect_table(table(tmp_path, ("id", "lon", "lat", "file")), photos, {})
    assert found.swapped and found.columns == {"latitude": "lon", "longitude": "lat"}
    assert float(found.shown[0]["latitude"]) == -33.8
    assert "swapped" in as_text(found)
    assert not inspect_table(
        table(tmp_path, ("id", "lon", "lat", "file")), photos, {"latitude": "lon", "longitude": "lat"}
    ).swapped


def test_missing_photos_are_counted_and_other_folders_are_accepted(tmp_path, photos):
    (photos / "one/a.jpg").unlink()
    found = inspect_table(table(tmp_path, HEADERS["usual"]), photos, {})
    assert found.missing == ["one/a.jpg"] and "1 of the first 3 photos are missing" in as_text(found)
    elsewhere = [(*row[:3], f"C:\\export\\{row[3].rsplit('/')[-1]}") for row in ROWS[1:]]
    assert inspect_table(table(tmp_path, HEADERS["usual"], elsewhere), photos, {}).match == "name"


def test_files_that_are_named_after_their_panorama_are_found(tmp_path):
    folder = tmp_path / "panoramas"
    folder.mkdir()
    for photo_id, *_ in ROWS:
        for view in range(4):
            (folder / f"{photo_id}_{view}.jpg").touch()
    found = inspect_table(table(tmp_path, HEADERS["usual"][:3], [row[:3] for row in ROWS]), folder, {})
    assert (found.columns["file"], found.views, found.missing) == ("{photo_id}_{view}.jpg", 4, [])


def test_photos_may_be_in_an_archive(tmp_path, photos):
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", photos))
    assert inspect_table(table(tmp_path, HEADERS["usual"]), archive, {}).missing == []


def test_a_table_without_places_names_the_columns_it_has(tmp_path, photos):
    with pytest.raises(HomingError, match=r"no column for latitude; it has photo_id, here: add --column latitude=NAME"):
        inspect_table(table(tmp_path, ("photo_id", "here"), [("a", 1)]), photos, {})


def written(tmp_path, answers: Answers, layout=None) -> tuple[dict, dict]:
    path = tmp_path / "written.yaml"
    path.write_text(configuration_text(answers, layout, tmp_path), encoding="utf-8")
    return read_config(tmp_path, [str(path)]), yaml.safe_load(profile_text(answers))


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "mine"])
@pytest.mark.parametrize("gpus", [0, 2])
def test_what_is_written_for_known_collections_is_valid_and_has_the_gpus(tmp_path, dataset, gpus):
    config, profile = written(tmp_path, Answers(dataset, "first", gpus, slurm=False))
    assert config["run"] == "first" and profile["executor"] == "local"
    for stage in ("pretrain", "finetune"):
        assert config[stage]["gpus_per_node"] == gpus and config[stage]["processes_per_node"] in (None, max(1, gpus))
        assert config[stage]["mixed_precision"] == ("bf16" if gpus else "no")


def test_what_is_written_for_ones_own_photos_reads_them(tmp_path, photos):
    path = table(tmp_path, HEADERS["exported"])
    answers = Answers("mine", "first", 0, False, photos=photos, table=path)
    config, _ = written(tmp_path, answers, inspect_table(path, photos, {}))
    columns = {"photo_id": "uuid", "latitude": "GPS_Latitude", "longitude": "GPS_Longitude", "file": "image_path"}
    assert config["datasets"]["mine"] == {
        "adapter": "csv_folder", "table": "photos.csv", "images": "photos", "columns": columns,
    }  # fmt: skip
    config, _ = written(tmp_path, Answers("mine", "first", 0, False, photos=photos))
    assert config["datasets"]["mine"] == {"adapter": "exif_folder", "images": "photos"}


def test_names_of_the_site_are_in_the_profile_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    answers = Answers("osv5m", "first", 4, True, partition="short", gpu_partition="a100", account="geo")
    config, profile = written(tmp_path, answers)
    assert profile["default-resources"]["slurm_partition"] == "short"
    assert profile["default-resources"]["slurm_account"] == "geo" and "slurm-no-account" not in profile
    assert profile["set-resources"]["pretrain_clip"]["slurm_partition"] == "a100"
    assert profile["set-resources"]["pretrain_clip"]["gpu"] == 4 and profile["set-threads"]["pretrain_clip"] == 32
    assert profile["slurm-status-command"] == "squeue"
    assert "a100" not in str(config)


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([], "missing: --dataset, --gpus, --slurm or --no-slurm"),
        (["--dataset", "mine", "--yes"], "missing: --photos"),
        (["--dataset", "demo", "--slurm", "--gpus", "0"], "missing: --partition"),
    ],
)
def test_without_a_terminal_all_that_is_missing_is_named_at_once(given, missing):
    with pytest.raises(HomingError, match=f"^{missing}$"):
        complete(options(*given), None)


def test_on_a_terminal_what_is_missing_is_asked():
    said = iter(["mine", "photos.csv", "photos.zip", "1", "yes", "cpu", "gpu", ""])
    answers = complete(options(), lambda question: next(said))
    assert (answers.dataset, answers.table, answers.photos, answers.name) == (
        "mine",
        Path("photos.csv"),
        Path("photos.zip"),
        "my_mine",
    )
    assert (answers.gpus, answers.slurm, answers.gpu_partition, answers.account) == (1, True, "gpu", None)
    with pytest.raises(HomingError, match="--gpus many: invalid answer"):
        complete(options("--dataset", "demo"), lambda question: "many")


def test_completion_and_version(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0 and "homing" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("homing 0.")
