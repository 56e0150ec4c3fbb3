"""Collections with every kind of bad row and bad image: the reason is told, and every good photo survives."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from homing import tables
from homing.errors import HomingError
from homing.photos.images import PhotoError, decode_image
from homing.photos.importing import import_photos
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


def picture(side: int = 40, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def jpeg(image: Image.Image, **options) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG", **options)
    return output.getvalue()


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


def test_bad_rows_are_rejected_with_their_reason_and_good_ones_kept(tmp_path):
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


def test_too_many_rejects_fail_and_leave_a_list(tmp_path):
    with pytest.raises(HomingError, match="7 of 10 rows rejected.*max_rejected_share 0.1"):
        collection(tmp_path, ROWS, share=0.1)
    assert len(pd.read_csv(tmp_path / "out/rejected_last_failure.csv")) == 7
    assert not (tmp_path / "out/photos.parquet").exists()


def test_a_missing_column_is_named_with_what_there_is(tmp_path):
    table = tmp_path / "photos.csv"
    table.write_text("id,lat,east\na,1,2\n")
    dataset = {"adapter": "csv_folder", "table": str(table), "images": None}
    with pytest.raises(HomingError, match=r"photos.csv: no column for longitude .* it has id, lat, east"):
        run_import(tmp_path, dataset, [table])
    assert run_import(tmp_path, dataset | {"columns": {"longitude": "east"}}, [table])


def test_bad_images_are_rejected_and_good_ones_stored(tmp_path):
    whole = jpeg(picture(60))
    huge = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(huge, "PNG")
    images = {
        "good.jpg": whole, "zero.jpg": b"", "cut.jpg": whole[: len(whole) // 2], "text.jpg": b"hello",
        "pixel.png": _png(picture(1)), "huge.png": huge.getvalue(),
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


def test_the_index_finds_what_tarfile_finds_over_several_shards(tmp_path):
    images = {f"p{number}.jpg": jpeg(picture(60, number)) for number in range(12)}
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


def test_a_tar_cut_in_the_middle_keeps_the_photos_before_the_cut(tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(6):
            data = jpeg(picture(40, number))
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


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "LA", "1", "I;16"])
def test_odd_modes_become_rgb(mode):
    grey = Image.linear_gradient("L").resize((40, 40))
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    suffix = {"CMYK": "JPEG"}.get(mode, "PNG")
    output = io.BytesIO()
    image.save(output, suffix)
    decoded = np.asarray(decode_image(output.getvalue()), dtype=float)
    assert decoded.shape == (40, 40, 3)
    if mode != "1":
        np.testing.assert_allclose(decoded.mean(axis=2), np.asarray(grey, dtype=float), atol=4)


def test_exif_orientation_is_applied():
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    turned = decode_image(jpeg(image, exif=exif, quality=95))
    assert turned.size == (20, 40)
    assert turned.getpixel((10, 5))[2] > 200 and turned.getpixel((10, 35))[0] > 200


def test_stored_photos_carry_no_gps(tmp_path):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 0.0, 0.0)}
    outputs = collection(tmp_path, [("a", "1", "2", "a.jpg")], {"a.jpg": jpeg(picture(), exif=exif)})
    stored = Image.open(io.BytesIO(ShardReader(outputs["shards"], outputs["index"]).read("a")))
    assert not stored.getexif()


def test_a_bomb_is_refused_before_it_is_decoded():
    output = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(output, "PNG")
    with pytest.raises(PhotoError, match="too large: 20000 x 20000"):
        decode_image(output.getvalue(), max_megapixels=100)


def test_the_number_of_workers_does_not_change_a_byte(tmp_path):
    images = {f"p{number}.jpg": jpeg(picture(90, number)) for number in range(9)}
    rows = [(name.removesuffix(".jpg"), "1", "2", name) for name in images]
    outputs = collection(tmp_path, rows, images)
    before = {path.name: path.read_bytes() for path in sorted(Path(outputs["shards"]).glob("*"))}
    dataset = {"adapter": "csv_folder", "table": str(tmp_path / "photos.csv"), "images": str(tmp_path)}
    import_photos(dataset, [tmp_path / "photos.csv"], SHARDS, outputs, 1.0, threads=1)
    assert before == {path.name: path.read_bytes() for path in sorted(Path(outputs["shards"]).glob("*"))}
