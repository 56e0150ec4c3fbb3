"""Archives are listed as the standard library lists them, read in place, and searched behind damaged bytes."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homing.errors import HomingError
from homing.importing.archives import ConcatenatedFiles, Folder, Tar, Zip, open_container

NAMES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(NAMES.map(lambda name: name[:60]), min_size=1, max_size=4).map("/".join)


def tar_of(files: dict[str, bytes], style: int = tarfile.PAX_FORMAT) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=style) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return output.getvalue()


def zip_of(files: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", packing) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return output.getvalue()


def content(container) -> dict[str, bytes]:
    return {member.name: container.read(member) for member in container.members()}


@settings(max_examples=60, deadline=None)
@given(files=st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8), cuts=st.lists(st.floats(0, 1), max_size=3),
       style=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))  # fmt: skip
def test_a_tar_in_chunks_reads_as_tarfile_reads_the_whole(tmp_path_factory, files, cuts, style):
    folder, whole = tmp_path_factory.mktemp("tar"), tar_of(files, style)
    edges = sorted({0, len(whole), *(int(cut * len(whole)) for cut in cuts)})
    paths = [folder / f"chunk{number:02d}" for number in range(len(edges) - 1)]
    for path, begin, end in zip(paths, edges, edges[1:], strict=False):
        path.write_bytes(whole[begin:end])
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        expected = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    assert content(Tar(paths)) == expected


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8), packed=st.booleans(), cut=st.booleans())
def test_a_zip_reads_as_zipfile_reads_it_also_without_its_directory(tmp_path_factory, files, packed, cut):
    path = tmp_path_factory.mktemp("zip") / "photos.zip"
    whole = zip_of(files, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        expected = {info.filename: file.read(info) for info in file.infolist()}
        start = file.start_dir
    path.write_bytes(whole[:start] if cut else whole)
    assert content(Zip(path)) == expected


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("seed", range(8))
def test_an_archive_of_which_a_tenth_is_damaged_gives_all_complete_members(tmp_path, kind, seed):
    draw = random.Random(seed)
    files = {f"photos/{number:03d}.jpg": draw.randbytes(draw.randrange(500, 4000)) for number in range(100)}
    whole = bytearray(tar_of(files) if kind == "tar" else zip_of(files))
    begin = draw.randrange(len(whole) * 8 // 10)
    end = begin + len(whole) // 10
    places = extents(kind, bytes(whole))
    whole[begin:end] = draw.randbytes(end - begin)
    cut = len(whole) * 98 // 100  # of a zip, the directory is lost too
    path = tmp_path / f"photos.{kind}"
    path.write_bytes(whole if kind == "tar" else whole[:cut])
    intact = {name for name, (first, last) in places.items() if last <= begin or first >= end}
    intact = {name for name in intact if kind == "tar" or places[name][1] <= cut}
    assert len(intact) >= 85
    found = content(open_container(path))
    assert {name for name in intact if found.get(name) == files[name]} == intact


def extents(kind: str, whole: bytes) -> dict[str, tuple[int, int]]:
    """Positions where each member's header begins and its data end."""
    if kind == "tar":
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            return {member.name: (member.offset, member.offset_data + member.size) for member in tar}
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        return {
            info.filename: (info.header_offset, info.header_offset + 30 + len(info.filename) + info.compress_size)
            for info in file.infolist()
        }


def test_a_truncated_tar_keeps_the_members_before_its_end(tmp_path):
    files = {f"{number}.jpg": bytes([number]) * 700 for number in range(10)}
    (tmp_path / "a.tar").write_bytes(tar_of(files)[: 5 * 1536 + 600])
    assert list(content(Tar([tmp_path / "a.tar"]))) == [f"{number}.jpg" for number in range(5)]


def test_links_devices_and_folders_are_skipped(tmp_path):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, kind in (("link.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE), ("dev", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("../../outside.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    (tmp_path / "a.tar").write_bytes(output.getvalue())
    before = set(tmp_path.rglob("*"))
    assert content(Tar([tmp_path / "a.tar"])) == {"../../outside.jpg": b"abc"}
    assert set(tmp_path.rglob("*")) == before and not (tmp_path.parent / "outside.jpg").exists()


def test_a_zip_bomb_is_inflated_no_further_than_the_limit(tmp_path, monkeypatch):
    from homing.importing import archives

    monkeypatch.setattr(archives, "MAX_IMAGE_BYTES", 10_000)
    (tmp_path / "a.zip").write_bytes(zip_of({"bomb.jpg": bytes(5_000_000)}, zipfile.ZIP_DEFLATED))
    assert len(content(Zip(tmp_path / "a.zip"))["bomb.jpg"]) == 10_000


def test_a_folder_is_listed_in_sorted_order(tmp_path):
    for name in ("b/2.jpg", "b/1.jpg", "a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert list(content(Folder(tmp_path)).items()) == [(n, n.encode()) for n in ("a.jpg", "b/1.jpg", "b/2.jpg")]


def test_reads_across_chunk_borders(tmp_path):
    data = random.Random(1).randbytes(1000)
    paths = [tmp_path / name for name in "abc"]
    for path, (begin, end) in zip(paths, ((0, 10), (10, 11), (11, 1000)), strict=True):
        path.write_bytes(data[begin:end])
    chunks = ConcatenatedFiles(paths)
    for offset in range(0, 30):
        assert chunks.pread(7, offset) == data[offset : offset + 7]
    assert chunks.pread(50, 990) == data[990:] and chunks.pread(1, 1000) == b""


def test_anything_else_than_a_container_is_an_error(tmp_path):
    Path(tmp_path / "photos.tar.gz").write_bytes(b"")
    with pytest.raises(HomingError, match=r"photos.tar.gz: images must be in a folder"):
        open_container(tmp_path / "photos.tar.gz")
