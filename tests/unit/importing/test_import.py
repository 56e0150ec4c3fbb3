"""Whole imports: every bad row and image is rejected with its reason, and every good photo is stored."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_images import jpeg, noise_image
from small_import import import_photos

from homing import tables
from homing.errors import HomingError
from homing.photos.shards import ShardReader

SHARDS = {"max_side": 64, "max_megapixels": 200, "shard_megabytes": 0.02, "quality": 90}


ROWS = [
    ("good", "48.5", "2.25"),
    ("north", "95", "2"),
    ("east", "48", "181"),
    ("swapped", "151.2", "-33.9"),
    ("empty", "", "2"),
    ("words", "north", "2"),
    ("good", "1", "1"),
    ("NA", "-22.5", "17.1"),
    ("edge", "-17", "180"),
    ("nan", "nan", "3"),
]


def collection(tmp_path: Path, rows, images: dict[str, bytes] | None = None, share: float = 1.0):
    """Import a CSV (and a folder of images) and return the outputs' paths."""
    table = tmp_path / "photos.csv"
    names = ["id", "lat", "lon"] + (["file"] if images is not None else [])
    pd.DataFrame(rows, columns=names).to_csv(table, index=False)
    for name, data in (images or {}).items():
        (tmp_path / name).write_bytes(data)
    dataset = {"adapter": "csv_folder", "table": str(table), "images": str(tmp_path) if images is not None else None}
    return run_import(tmp_path, dataset, [table], share)


def run_import(tmp_path: Path, dataset, files, share: float = 1.0):
    outputs = {name: str(tmp_path / f"out/{name}.parquet") for name in ("photos", "rejected", "index", "ledger")}
    outputs["shards"] = str(tmp_path / "out/shards")
    import_photos(dataset, files, SHARDS, outputs, share, threads=2)
    return outputs


def test_invalid_rows_are_rejected_with_their_reason_and_valid_ones_kept(tmp_path):
    outputs = collection(tmp_path, ROWS)
    photos = tables.read(outputs["photos"], "photos").set_index("photo_id")
    assert set(photos.index) == {"good", "NA", "edge"}
    assert photos.loc["good", "latitude"] == 48.5
    assert photos.loc["edge", "longitude"] == -180
    reasons = tables.read(outputs["rejected"], "rejected").set_index("row")["reason"]
    expected = {
        1: "latitude 95 is outside", 2: "longitude 181 is outside", 3: "look swapped", 4: "empty latitude",
        5: "'north' is not a number", 6: "duplicate photo_id 'good'", 9: "not a finite number",
    }  # fmt: skip
    assert set(reasons.index) == set(expected)
    assert all(expected[row] in reasons[row] for row in expected)


def test_namibia_is_not_missing(tmp_path):
    outputs = collection(tmp_path, [("a", "1", "2"), ("NA", "3", "4"), ("None", "5", "6"), ("null", "7", "8")])
    assert set(tables.read(outputs["photos"], "photos")["photo_id"]) == {"a", "NA", "None", "null"}


def test_swapped_columns_stop_the_import_and_name_the_cure(tmp_path):
    with pytest.raises(HomingError, match="swapped; name the right columns in the data set's `columns`"):
        collection(tmp_path, [("a", "151", "-33"), ("b", "120", "30"), ("c", "10", "50")])


def test_too_many_rejects_are_an_error_that_leaves_a_list(tmp_path):
    with pytest.raises(HomingError, match="7 of 10 rows rejected.*max_rejected_share 0.1"):
        collection(tmp_path, ROWS, share=0.1)
    assert len(pd.read_csv(tmp_path / "out/rejected_last_failure.csv")) == 7
    assert not (tmp_path / "out/photos.parquet").exists()


def test_a_missing_column_is_named_with_the_columns_there_are(tmp_path):
    table = tmp_path / "photos.csv"
    table.write_text("id,lat,east\na,1,2\n")
    dataset = {"adapter": "csv_folder", "table": str(table), "images": None}
    with pytest.raises(HomingError, match=r"photos.csv: no column for longitude .* it has id, lat, east"):
        run_import(tmp_path, dataset, [table])
    assert run_import(tmp_path, dataset | {"columns": {"longitude": "east"}}, [table])


def test_unusable_images_are_rejected_and_usable_ones_stored(tmp_path):
    whole = jpeg(noise_image(60))
    huge = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(huge, "PNG")
    images = {
        "good.jpg": whole, "zero.jpg": b"", "cut.jpg": whole[: len(whole) // 2], "text.jpg": b"hello",
        "pixel.png": _png(noise_image(1)), "huge.png": huge.getvalue(),
    }  # fmt: skip
    rows = [(name.split(".")[0], "1", str(number), name) for number, name in enumerate([*images, "absent.jpg"])]
    outputs = collection(tmp_path, rows, images)
    assert tables.read(outputs["photos"], "photos")["photo_id"].tolist() == ["good"]
    reasons = tables.read(outputs["rejected"], "rejected").set_index("photo_id")["reason"]
    expected = {
        "zero": "empty file", "cut": "broken image", "text": "not an image", "pixel": "too small: 1 x 1",
        "huge": "too large", "absent": "no image",
    }  # fmt: skip
    assert all(expected[name] in reasons[name] for name in expected), dict(reasons)
    stored = ShardReader(outputs["shards"], outputs["index"]).read("good")
    assert stored == whole  # a plain JPEG of fitting size keeps its bytes


def _png(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "PNG")
    return output.getvalue()


def test_the_index_agrees_with_tarfile_over_several_shards(tmp_path):
    images = {f"p{number}.jpg": jpeg(noise_image(60, number)) for number in range(12)}
    rows = [(name.removesuffix(".jpg"), "1", "2", name) for name in images]
    outputs = collection(tmp_path, rows, images)
    reader = ShardReader(outputs["shards"], outputs["index"])
    shards = sorted(Path(outputs["shards"]).glob("*.tar"))
    assert len(shards) > 1
    found = {}
    for shard in shards:
        with tarfile.open(shard) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}
    assert found == {f"{name}.jpg": reader.read(name) for name in (row[0] for row in rows)}


def test_a_truncated_tar_keeps_the_photos_before_its_end(tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(6):
            data = jpeg(noise_image(40, number))
            member = tarfile.TarInfo(f"aa/bb/{number}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    content = archive.getvalue()
    chunk, table = tmp_path / "mp-16-images00", tmp_path / "MP16_Pro_places365.csv"
    lines = [f"aa/bb/{number}.jpg,author,1,{number}" for number in range(6)]
    table.write_text("\n".join(["IMG_ID,AUTHOR,LAT,LON", *lines]) + "\n")
    parts = {"whole": [content], "two": [content[:5001], content[5001:]], "cut": [content[: len(content) // 2 - 700]]}
    kept = {}
    for name, pieces in parts.items():
        files = [table]
        for number, piece in enumerate(pieces):
            (tmp_path / f"mp-16-images0{number}").write_bytes(piece)
            files.append(tmp_path / f"mp-16-images0{number}")
        outputs = run_import(tmp_path, {"adapter": "mp16"}, files)
        kept[name] = tables.read(outputs["photos"], "photos")["photo_id"].tolist()
    everything = [f"aa_bb_{number}" for number in range(6)]
    assert kept["whole"] == kept["two"] == everything
    assert kept["cut"] == everything[: len(kept["cut"])] and 1 <= len(kept["cut"]) < 6
    assert chunk.exists()


def test_stored_photos_carry_no_gps(tmp_path):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 0.0, 0.0)}
    outputs = collection(tmp_path, [("a", "1", "2", "a.jpg")], {"a.jpg": jpeg(noise_image(), exif=exif)})
    stored = Image.open(io.BytesIO(ShardReader(outputs["shards"], outputs["index"]).read("a")))
    assert not stored.getexif()


def test_the_number_of_workers_does_not_change_a_byte(tmp_path):
    images = {f"p{number}.jpg": jpeg(noise_image(90, number)) for number in range(9)}
    rows = [(name.removesuffix(".jpg"), "1", "2", name) for name in images]
    outputs = collection(tmp_path, rows, images)
    before = {path.name: path.read_bytes() for path in sorted(Path(outputs["shards"]).glob("*"))}
    dataset = {"adapter": "csv_folder", "table": str(tmp_path / "photos.csv"), "images": str(tmp_path)}
    import_photos(dataset, [tmp_path / "photos.csv"], SHARDS, outputs, 1.0, threads=1)
    assert before == {path.name: path.read_bytes() for path in sorted(Path(outputs["shards"]).glob("*"))}


def scatter(tmp_path: Path, count: int) -> tuple[dict, list[Path]]:
    """Write a tar of `count` photos, some of them broken, and its CSV in another order, with some rows twice."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(count):
            data = jpeg(noise_image(40, number)) if number % 7 else b"broken"
            member = tarfile.TarInfo(f"aa/bb/{number}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (tmp_path / "mp-16-images00").write_bytes(archive.getvalue())
    order = np.random.default_rng(3).permutation([*range(count), *range(0, count, 9)])
    lines = [f"aa/bb/{number}.jpg,author {number % 5},{number % 80},{number}" for number in order]
    (tmp_path / "MP16.csv").write_text("\n".join(["IMG_ID,AUTHOR,LAT,LON", *lines]) + "\n")
    return {"adapter": "mp16"}, [tmp_path / "mp-16-images00", tmp_path / "MP16.csv"]


def content(outputs: dict[str, str]) -> dict[str, object]:
    """Rows of the tables and images by photo_id, whatever shards they are in."""
    found = {name: pd.read_parquet(outputs[name]).to_csv() for name in ("photos", "ledger")}
    rejected = pd.read_parquet(outputs["rejected"])
    reader = ShardReader(outputs["shards"], outputs["index"])
    images = {name: reader.read(name) for name in pd.read_parquet(outputs["photos"])["photo_id"]}
    return found | {"rejected": set(rejected["row"].astype(str) + rejected["reason"]), "images": images}


def test_neither_parts_nor_partitions_on_disk_change_the_result(tmp_path, monkeypatch):
    from homing.importing import candidates, collect

    dataset, files = scatter(tmp_path, 150)
    whole = content(run_import(tmp_path / "whole", dataset, files))
    assert len(whole["images"]) == 150 - 22 and len(whole["rejected"]) == 22 + 17
    monkeypatch.setattr(candidates, "ROW_GROUP", 16)
    outputs = {name: str(tmp_path / f"parts/{name}.parquet") for name in ("photos", "rejected", "index", "ledger")}
    outputs["shards"] = str(tmp_path / "parts/shards")
    import_photos(dataset, files, SHARDS, outputs, 1.0, threads=1, parts=4)
    assert content(outputs) == whole
    monkeypatch.setattr(candidates, "PARTITION_BYTES", 500)
    monkeypatch.setattr(collect, "PARTITION_ROWS", 20)
    import_photos(dataset, files, SHARDS, outputs, 1.0, threads=1, parts=3)
    assert content(outputs) == whole
    names = pd.read_parquet(outputs["photos"])["photo_id"]
    assert names.is_monotonic_increasing and names.is_unique


def test_a_stopped_job_resumes_behind_its_last_shard_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    from homing.importing import store
    from homing.importing.adapters import adapter_for
    from homing.importing.candidates import list_candidates

    dataset, files = scatter(tmp_path, 120)
    adapter = adapter_for(dataset, files)
    list_candidates(adapter, dataset, files, tmp_path / "c.parquet", tmp_path / "r.parquet")

    def run(output: str, workspace: str) -> dict[str, bytes]:
        places = (tmp_path / "c.parquet", (0, 1), tmp_path / output, tmp_path / workspace)
        store.store_part(adapter, dataset, SHARDS, *places, threads=2)
        return {path.name: path.read_bytes() for path in sorted((tmp_path / output).iterdir())}

    unbroken = run("unbroken", "work")
    assert len(unbroken) > 4
    monkeypatch.setattr(store, "BATCH_IMAGES", 8)
    calls, limits = [0], iter([50, 30, 10**9])
    limit = [next(limits)]
    prepare_one = store._prepare

    def stopping(*arguments):
        calls[0] += 1
        if calls[0] > limit[0]:
            raise KeyboardInterrupt
        return prepare_one(*arguments)

    monkeypatch.setattr(store, "_prepare", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run("broken", "again")
        assert not (tmp_path / "broken").exists()
        calls[0], limit[0] = 0, next(limits)
    assert run("broken", "again") == unbroken
    assert calls[0] < 100  # the shards that were whole were not made again


def test_a_line_with_too_many_cells_or_invalid_text_is_rejected_by_its_number(tmp_path):
    table = tmp_path / "photos.csv"
    table.write_bytes(b'id,lat,lon\na,1,2\nb,1,2,3\nc,3,"4"\nd\xff,1,2\n"e ""x""",5,6\n')
    outputs = run_import(tmp_path, {"adapter": "csv_folder"}, [table])
    assert set(tables.read(outputs["photos"], "photos")["photo_id"]) == {"a", "c", 'e "x"'}
    rejected = tables.read(outputs["rejected"], "rejected").set_index("row")["reason"].to_dict()
    assert rejected == {1: "the line has 4 cells instead of 3", 3: "the line is not UTF-8"}


@pytest.mark.parametrize("suffix", [";", "\t", "parquet"])
def test_other_separators_and_parquet(tmp_path, suffix):
    frame = pd.DataFrame({"id": ["NA", "b"], "lat": [1.5, -2.25], "lon": [3.0, 179.999999], "license": ["CC0", None]})
    table = tmp_path / ("photos.parquet" if suffix == "parquet" else "photos.csv")
    frame.to_parquet(table) if suffix == "parquet" else frame.to_csv(table, sep=suffix, index=False)
    photos = tables.read(run_import(tmp_path, {"adapter": "csv_folder"}, [table])["photos"], "photos")
    assert photos[["photo_id", "latitude", "longitude"]].to_numpy().tolist() == [
        ["NA", 1.5, 3],
        ["b", -2.25, 179.999999],
    ]
    assert photos["licence"].tolist()[0] == "CC0" and pd.isna(photos["licence"].tolist()[1])


def test_the_ledger_credits_photographers_without_places(tmp_path):
    dataset, files = scatter(tmp_path, 30)
    ledger = tables.read(run_import(tmp_path, dataset, files)["ledger"], "ledger")
    assert ledger["author"].is_monotonic_increasing and len(ledger) == 25
    assert not {"latitude", "longitude"} & set(ledger.columns)
