"""Raw files are verified before they appear: the table of sources, the mirror, licences."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from homing.config.configuration import FOLDER
from homing.errors import HomingError
from homing.sources.listing import listing
from homing.sources.retrieve import RetrievalSettings, retrieve
from homing.sources.table import read_sources, source_row, source_rows

CONTENT = b"elevation" * 1000
ROW = {
    "dataset": "etopo", "version": "1", "url": "", "file": "relief.tif", "member": "", "bytes": "", "sha256": "",
    "licence": "CC0", "needs_acceptance": "no", "redistribute": "yes",
}  # fmt: skip
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "relief.tif").write_bytes(CONTENT)
    return folder


def fetch(tmp_path, mirror=None, accepted=(), link=True, **changes):
    output, manifest = tmp_path / "out/relief.tif", tmp_path / "out/manifests/relief.tif.json"
    try:
        choices = RetrievalSettings(str(mirror) if mirror else None, link, accepted, tmp_path / "lock.csv")
        retrieve(ROW | changes, output, manifest, choices)
    except HomingError:
        assert not output.exists() and not manifest.exists(), "a failed retrieval left a file behind"
        raise
    return output.read_bytes(), json.loads(manifest.read_text())


def test_a_file_of_the_mirror_is_retrieved_with_a_manifest(tmp_path, mirror):
    content, manifest = fetch(tmp_path, mirror, sha256=SUM, bytes=str(len(CONTENT)))
    assert content == CONTENT
    assert manifest["sha256"] == SUM and manifest["bytes"] == len(CONTENT) and manifest["licence"] == "CC0"


def test_the_mirrors_own_checksums_are_verified(tmp_path, mirror):
    (mirror / "SHA256SUMS").write_text(f"{'0' * 64}  relief.tif\n")
    with pytest.raises(HomingError, match=r"relief.tif .*sha256 is .* expected 000"):
        fetch(tmp_path, mirror)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "f" * 64}, "expected ffff.*damaged"),
        ({"bytes": "12"}, "9000 bytes, expected 12: truncated"),
        ({"needs_acceptance": "yes"}, "must be accepted.*accept_licences"),
        ({"url": "mirror:other/place.tif", "file": "place.tif"}, "no program can fetch it.*as other/place.tif"),
    ],
)
def test_faults_are_named_and_no_file_is_left(tmp_path, mirror, changes, message):
    with pytest.raises(HomingError, match=message):
        fetch(tmp_path, mirror, **changes)


def test_an_empty_file_is_an_error(tmp_path, mirror):
    (mirror / "relief.tif").write_bytes(b"")
    with pytest.raises(HomingError, match="the file is empty"):
        fetch(tmp_path, mirror)


def test_an_accepted_licence_lets_the_file_through(tmp_path, mirror):
    assert fetch(tmp_path, mirror, accepted=["etopo"], needs_acceptance="yes")[0] == CONTENT


def test_files_of_a_mirror_are_linked_or_copied_and_not_changed(tmp_path, mirror):
    (mirror / "relief.tif").chmod(0o440)
    fetch(tmp_path, mirror)
    assert (tmp_path / "out/relief.tif").is_symlink()
    fetch(tmp_path, mirror, link=False)
    assert not (tmp_path / "out/relief.tif").is_symlink()
    assert (mirror / "relief.tif").stat().st_mode & 0o777 == 0o440 and (mirror / "relief.tif").read_bytes() == CONTENT


def test_the_shipped_table_is_valid_and_names_every_source():
    rows = read_sources(FOLDER / "sources.csv")
    datasets = {row["dataset"] for row in rows}
    assert datasets >= {
        "gadm_levels", "cgaz", "natural_earth", "worldpop", "ghs_pop", "koppen", "worldclim_tavg", "worldclim_prec",
        "worldclim_elev", "etopo2022", "driving_side", "mp16pro", "osv5m", "osv_mini", "im2gps", "im2gps3k", "yfcc4k",
        "yfcc26k", "gldv2", "clip_b32", "clip_l14", "clip_l14_336", "streetclip",
        "siglip2_b16_224", "siglip2_so400m_384", "dinov2_l14", "dinov3_l16",
    }  # fmt: skip
    chunks = [row for row in rows if row["dataset"] == "mp16pro" and row["file"].startswith("mp-16-images")]
    assert [row["file"] for row in chunks if row["version"] != "toy"] == [f"mp-16-images{n:02d}" for n in range(19)]
    assert len(source_rows(rows, "osv5m/cff33609b56b54d8743b7ee7a416eb8433e9a681")) == 98 + 5 + 2
    assert source_row(rows, "gldv2/v2", "images_499.tar")["url"].endswith("train/images_499.tar")
    for row in rows:
        if row["url"].startswith("hf://"):  # a hub changes, so the version is a commit
            assert re.fullmatch("[0-9a-f]{40}", row["version"]), row
    for row in rows:  # a licence that must be accepted does not allow redistribution
        assert row["licence"]
        if row["needs_acceptance"] == "yes":
            assert row["redistribute"] == "no"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Koppen,1,https://a/b,b,,,,CC0,no,yes", "line 2: dataset 'Koppen'"),
        ("koppen,1,ftp://a/b,b,,,,CC0,no,yes", "line 2: url"),
        ("koppen,1,https://a/b,b,,many,,CC0,no,yes", "line 2: bytes"),
        ("koppen,1,https://a/b,b,,,abc,CC0,no,yes", "line 2: sha256"),
        ("koppen,1,https://a/b,b,,,,CC0,no,yes\nkoppen,1,https://a/c,b,,,,CC0,no,yes", "koppen/1/b is listed twice"),
    ],
)
def test_a_wrong_line_of_the_table_is_named(tmp_path, line, message):
    path = tmp_path / "sources.csv"
    header = "dataset,version,url,file,member,bytes,sha256,licence,needs_acceptance,redistribute"
    path.write_text(f"{header}\n{line}\n")
    with pytest.raises(HomingError, match=message):
        read_sources(path)


def test_the_listing_counts_what_is_still_to_download_and_names_the_licences(tmp_path, mirror):
    rows = [
        ROW | {"bytes": "2000000000", "url": "https://host.org/a", "file": "a.tif"},
        ROW | {"bytes": "~3000000000", "url": "https://host.org/b", "file": "b.tif"},
        ROW | {"bytes": "9000", "url": "https://host.org/relief.tif"},
        ROW | {"dataset": "gadm", "url": "https://gadm.org/g", "file": "g.zip", "needs_acceptance": "yes"},
    ]
    raw = tmp_path / "raw"
    (raw / "etopo/1").mkdir(parents=True)
    (raw / "etopo/1/a.tif").write_bytes(b"here")
    text = listing(rows, raw, str(mirror), [])
    assert "etopo/1" in text and "~5.0" in text and "host.org" in text
    assert "to download: 2 files, ~3.0 GB and 1 files of unknown size" in text
    assert text.endswith("accept_licences: [gadm]") and "[not accepted yet]" in text
    assert "accept_licences" not in listing(rows, Path(raw), str(mirror), ["gadm"])
