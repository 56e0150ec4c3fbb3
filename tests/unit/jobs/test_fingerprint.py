"""The same input is the same content: dates do not count, sizes are no proof, and large files are read once."""

import json
import os
import shutil

import pytest

from homing.jobs import fingerprint


@pytest.fixture
def folder(tmp_path):
    """A job's outputs: a table, and a folder of two files."""
    (tmp_path / "run/model").mkdir(parents=True)
    (tmp_path / "run/table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "run/model/one.bin").write_bytes(b"weights 1")
    (tmp_path / "run/model/two.bin").write_bytes(b"weights 2")
    return tmp_path / "run"


def outputs(folder):
    return [folder / "table.csv", folder / "model"]


def test_a_manifest_is_the_same_for_the_same_content_whatever_the_dates_and_the_place(folder, tmp_path):
    fingerprint.write_manifest(folder / "manifests/one.json", outputs(folder))
    copied = shutil.copytree(folder, tmp_path / "elsewhere")
    os.utime(copied / "table.csv", (1, 1))
    fingerprint.write_manifest(copied / "manifests/one.json", outputs(copied))
    assert (folder / "manifests/one.json").read_bytes() == (copied / "manifests/one.json").read_bytes()
    entries = json.loads((folder / "manifests/one.json").read_text())
    assert [(entry["file"], entry["bytes"]) for entry in entries] == [("table.csv", 8), ("model", 18)]


@pytest.mark.parametrize("path", ["table.csv", "model/one.bin"])
def test_other_content_of_the_same_size_is_another_input(folder, path):
    before = {file: fingerprint.of_file(file) for file in outputs(folder)}
    file = folder / path
    file.write_bytes(file.read_bytes().replace(b"1", b"7"))
    after = {file: fingerprint.of_file(file) for file in outputs(folder)}
    assert before != after


def test_a_renamed_file_makes_another_folder(folder):
    before = fingerprint.of_file(folder / "model")
    (folder / "model/two.bin").rename(folder / "model/three.bin")
    assert fingerprint.of_file(folder / "model") != before


def test_what_a_manifest_lists_is_not_read_again_unless_its_size_is_another(folder, monkeypatch):
    manifest = folder / "manifests/one.json"
    fingerprint.write_manifest(manifest, outputs(folder))
    listed = {entry["file"]: entry["sha256"] for entry in json.loads(manifest.read_text())}
    monkeypatch.setattr(fingerprint, "content_of", lambda path: pytest.fail(f"{path} was read"))
    assert [fingerprint.of_file(path) for path in outputs(folder)] == [listed["table.csv"], listed["model"]]
    monkeypatch.undo()
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n")
    assert fingerprint.of_file(folder / "table.csv") not in listed.values()


def test_a_folder_with_sums_is_described_by_them(folder):
    before = fingerprint.of_file(folder / "model")
    fingerprint.write_sums(folder / "model", {"one.bin": "0" * 64})  # as its job had it already
    described = fingerprint.of_file(folder / "model")
    sums = fingerprint.read_sums(folder / "model")
    assert sums == {"one.bin": "0" * 64, "two.bin": fingerprint.of_file(folder / "model/two.bin")}
    (folder / "model/one.bin").write_bytes(b"weights 9")
    assert before != described == fingerprint.of_file(folder / "model")


def test_inputs_are_described_by_name_and_lists_in_their_order(folder):
    one, other = outputs(folder)
    described = fingerprint.of_inputs({"table": str(one), "both": [str(one), str(other)]})
    assert described == {
        "table": [fingerprint.of_file(one)],
        "both": [fingerprint.of_file(path) for path in (one, other)],
    }
    with pytest.raises(FileNotFoundError):
        fingerprint.of_inputs({"table": str(folder / "none.csv")})


def test_what_a_manifest_lists_and_is_gone_is_named(folder):
    fingerprint.write_manifest(folder / "manifests/one.json", outputs(folder))
    assert fingerprint.missing_outputs([folder]) == []
    shutil.rmtree(folder / "model")
    assert fingerprint.missing_outputs([folder]) == [folder / "model"]


def test_images_of_users_count_by_names_and_sizes(folder):
    before = fingerprint.of_listing(folder / "model")
    (folder / "model/one.bin").write_bytes(b"weights 9")
    assert fingerprint.of_listing(folder / "model") == before
    (folder / "model/one.bin").write_bytes(b"weights 10")
    assert fingerprint.of_listing(folder / "model") != before
