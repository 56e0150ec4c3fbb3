"""Collections with every kind of bad row and bad image: the reason is told, and every good photo survives."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms, ImageOps
from small_import import import_photos

from homing import tables
from homing.errors import HomingError
from homing.importing.jpeg import without_metadata
from homing.importing.recode import prepare
from homing.photos.images import PhotoError, decode_image
from homing.photos.perceptual import near_pairs, perceptual_hash
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


def scatter(tmp_path: Path, count: int) -> tuple[dict, list[Path]]:
    """A tar with `count` photos, some of them broken, and its csv in another order, some rows twice."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(count):
            data = jpeg(picture(40, number)) if number % 7 else b"broken"
            member = tarfile.TarInfo(f"aa/bb/{number}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (tmp_path / "mp-16-images00").write_bytes(archive.getvalue())
    order = np.random.default_rng(3).permutation([*range(count), *range(0, count, 9)])
    lines = [f"aa/bb/{number}.jpg,author {number % 5},{number % 80},{number}" for number in order]
    (tmp_path / "MP16.csv").write_text("\n".join(["IMG_ID,AUTHOR,LAT,LON", *lines]) + "\n")
    return {"adapter": "mp16"}, [tmp_path / "mp-16-images00", tmp_path / "MP16.csv"]


def content(outputs: dict[str, str]) -> dict[str, object]:
    """The tables' rows and the images by photo, whatever the shards they are in."""
    found = {name: pd.read_parquet(outputs[name]).to_csv() for name in ("photos", "ledger")}
    rejected = pd.read_parquet(outputs["rejected"])
    reader = ShardReader(outputs["shards"], outputs["index"])
    images = {name: reader.read(name) for name in pd.read_parquet(outputs["photos"])["photo_id"]}
    return found | {"rejected": set(rejected["row"].astype(str) + rejected["reason"]), "images": images}


def test_neither_parts_nor_buckets_on_disk_change_the_result(tmp_path, monkeypatch):
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


def test_a_stopped_job_goes_on_behind_its_last_shard_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    from homing.importing import store
    from homing.importing.adapters import adapter_for
    from homing.importing.candidates import list_candidates

    dataset, files = scatter(tmp_path, 120)
    adapter = adapter_for(dataset, files)
    list_candidates(adapter, dataset, tmp_path / "c.parquet", tmp_path / "r.parquet", 0)

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


def test_a_line_with_too_many_cells_or_broken_text_is_rejected_by_its_number(tmp_path):
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


def test_the_ledger_credits_photographers_and_tells_no_place(tmp_path):
    dataset, files = scatter(tmp_path, 30)
    ledger = tables.read(run_import(tmp_path, dataset, files)["ledger"], "ledger")
    assert ledger["author"].is_monotonic_increasing and len(ledger) == 25
    assert not {"latitude", "longitude"} & set(ledger.columns)


def smooth(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def recoded(data: bytes, side: int, crop: int = 0) -> np.ndarray:
    stored = prepare(data, SHARDS | {"max_side": side, "quality": 100}, crop).data
    return np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"), dtype=float)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_fast_re_encoding_is_what_pillow_makes_of_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(smooth(400, 240, orientation), exif=exif, quality=95, subsampling=0)
    expected = ImageOps.contain(decode_image(data), (150, 150), Image.Resampling.BICUBIC)
    error = np.mean((recoded(data, 150) - np.asarray(expected, dtype=float)) ** 2)
    assert 10 * np.log10(255**2 / error) > 38


def test_cropping_takes_rows_below_as_one_sees_them():
    exif = Image.Exif()
    exif[0x0112] = 8
    image = smooth(60, 48)
    for options in ({}, {"exif": exif}):
        upright = np.asarray(decode_image(jpeg(image, **options)), dtype=float)
        found = recoded(jpeg(image, **options), 100, crop=14)
        assert found.shape == (upright.shape[0] - 14, upright.shape[1], 3)
        assert np.abs(found - upright[:-14]).mean(axis=2).mean() < 10 < np.abs(found - upright[14:]).mean()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"icc": True}, {"mode": "L"}, {"restarts": True}])
def test_metadata_goes_and_every_pixel_stays(options):
    image = smooth(50, 40).convert(options.get("mode", "RGB"))
    exif = Image.Exif()
    exif[0x010E], exif[0x8825] = "secret place", {1: "N", 2: (48.0, 0.0, 0.0)}
    more = {"progressive": True} if "progressive" in options else {}
    more |= {"restart_marker_blocks": 1} if "restarts" in options else {}
    more |= (
        {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()} if "icc" in options else {}
    )
    data = jpeg(image, exif=exif, comment=b"secret comment", xmp=b"<x>secret</x>", **more)
    for tail in (b"", b"\0junk", jpeg(smooth(30, 30))):  # what phones put behind a picture
        clean = without_metadata(data + tail)
        assert b"secret" not in clean and len(clean) < len(data)
        kept = Image.open(io.BytesIO(clean))
        assert not kept.getexif() and np.array_equal(np.asarray(kept), np.asarray(Image.open(io.BytesIO(data))))
        assert ("icc_profile" in kept.info) == ("icc" in options)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_cut_jpegs_are_refused_by_the_fast_way_too(cut):
    data = jpeg(picture(60))
    with pytest.raises(PhotoError, match="broken image|not a readable image"):
        prepare(data[: int(len(data) * cut)], SHARDS)


def test_perceptual_hashes_know_a_copy_and_tell_pictures_apart():
    rng = np.random.default_rng(5)
    originals = [smooth(320, 240, seed) for seed in range(60)]
    hashes = np.array([perceptual_hash(np.asarray(image)) for image in originals])
    copies = [
        jpeg(image.resize((int(200 + 60 * rng.random()),) * 2), quality=int(rng.integers(50, 95)))
        for image in originals
    ]
    again = np.array([perceptual_hash(np.asarray(decode_image(data))) for data in copies])
    first, second = near_pairs(hashes, again, bits=4)
    assert (first == second).all() and len(first) > 55


def test_near_pairs_are_all_pairs_by_brute_force():
    rng = np.random.default_rng(6)
    ours, theirs = (rng.integers(-(2**63), 2**63 - 1, size, dtype=np.int64) for size in (300, 200))
    for number in range(150):  # plant pairs that differ in 0 to 9 bits
        flips = rng.choice(64, number % 10, replace=False)
        theirs[number] = ours[number] ^ np.bitwise_xor.reduce(
            (np.uint64(1) << flips.astype(np.uint64)).view(np.int64), initial=0
        )
    distance = np.bitwise_count((ours[:, None] ^ theirs[None, :]).view(np.uint64))
    for bits in (0, 4, 7):
        expected = set(zip(*np.nonzero(distance <= bits), strict=True))
        assert set(zip(*near_pairs(ours, theirs, bits), strict=True)) == expected
