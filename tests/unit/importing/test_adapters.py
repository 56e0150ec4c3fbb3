"""Every adapter reads a small collection in the upstream layout."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image
from small_import import import_photos
from test_archives import tar_of, zip_of

from homing import tables
from homing.errors import HomingError
from homing.importing import adapters
from homing.photos.shards import ShardReader

SHARDS = {"max_side": 64, "max_megapixels": 100, "shard_megabytes": 1, "quality": 90}


def picture(seed: int, width: int = 40, height: int = 30, **options) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    output = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(output, "JPEG", quality=90, **options)
    return output.getvalue()


def collect(folder: Path, dataset: dict, files: list[Path], share: float = 0.0, parts: int = 1):
    """Import a collection; return its photos, its rejects and a reader of its images."""
    out = {name: str(folder / f"out/{name}.parquet") for name in ("photos", "rejected", "index", "ledger")}
    out["shards"] = str(folder / "out/shards")
    import_photos(dataset, files, SHARDS, out, share, threads=2, parts=parts)
    photos, rejected = tables.read(out["photos"], "photos"), tables.read(out["rejected"], "rejected")
    return photos.set_index("photo_id"), rejected, ShardReader(out["shards"], out["index"])


def test_mp16_ids_with_slashes_and_underscores_and_more_images_than_rows(tmp_path):
    names = ["e1/55/4763369508.jpg", "00/0a/12_34.jpg", "ff/ff/99.jpg"]
    images = {f"./images/{name.replace('/', '_')}": picture(number) for number, name in enumerate(names)}
    whole = tar_of(images | {"./images/aa_bb_1.jpg": picture(9)})
    (tmp_path / "mp-16-images00").write_bytes(whole[:1700])
    (tmp_path / "mp-16-images01").write_bytes(whole[1700:])
    table = tmp_path / "MP16_Pro_places365.csv"
    header = "IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label,Prob_indoor,city,country\n"
    table.write_text(
        header
        + f"{names[0]},24511045@N04,48.85,2.35,1,2,3,0.1,Paris,France\n"
        + f"{names[1]},7@N01,-22.56,17.08,1,2,3,0.1,Windhoek,NA\n"
        + f"{names[2].replace('/', '_')},7@N01,1,2,1,2,3,0.1,,\n"
        + "cc/dd/5.jpg,7@N01,1,2,1,2,3,0.1,,\n"
    )
    files = [tmp_path / "mp-16-images01", table, tmp_path / "mp-16-images00"]
    photos, rejected, reader = collect(tmp_path, {"adapter": "mp16"}, files, share=0.3)
    assert list(photos.index) == ["00_0a_12_34", "e1_55_4763369508", "ff_ff_99"]
    assert photos.loc["e1_55_4763369508", "author"] == "24511045@N04"
    assert rejected["photo_id"].tolist() == ["cc_dd_5"] and "no image" in rejected["reason"][0]
    assert reader.read("e1_55_4763369508") == images["./images/e1_55_4763369508.jpg"]


OSV_TRAIN = (  # the order of columns differs between the files, as upstream
    "id,latitude,longitude,thumb_original_url,country,sequence,captured_at,lon_bin,lat_bin,cell,region,sub-region,city,"
    "land_cover,road_index,drive_side,climate,soil,dist_sea,unique_city,creator_username,creator_id"
)
OSV_TEST = "id,captured_at,longitude,latitude,country,region,sequence,creator_username,creator_id"


def osv_rows() -> dict[str, str]:
    train = (
        "3859149887465501,-44.1,-176.5,https://x/a,NZ,seqA,1577880000000,1,2,3,Chatham,,Waitangi,8,0.1,1.0,15,5,0.2,c,kiwi,77\n"
        "1234567890123456,-22.6,17.1,https://x/b,NA,seqB,1577880000000,1,2,3,Khomas,,Windhoek,8,0.1,1.0,6,5,0.2,c,nam,78\n"
        "2234567890123456,48.9,2.3,https://x/c,FR,seqC,,1,2,3,IdF,,Paris,8,0.1,0.0,,5,0.2,c,,79\n"
    )
    test = "9999999999999999,1600000000000,13.4,52.5,DE,Berlin,seqD,ber,80\n"
    return {"train.csv": f"{OSV_TRAIN}\n{train}", "test.csv": f"{OSV_TEST}\n{test}"}


def test_osv5m_columns_by_name_zips_and_the_crop_of_burned_in_text(tmp_path):
    for name, text in osv_rows().items():
        (tmp_path / name).write_text(text)
    image = Image.new("RGB", (60, 44), (200, 30, 30))
    image.paste((255, 255, 255), (0, 30, 60, 44))
    output = io.BytesIO()
    image.save(output, "JPEG", quality=95)
    ids = ["3859149887465501", "1234567890123456", "2234567890123456"]
    (tmp_path / "train_00.zip").write_bytes(zip_of({f"00/{name}.jpg": output.getvalue() for name in ids[:2]}))
    (tmp_path / "train_01.zip").write_bytes(
        zip_of({f"01/{ids[2]}.jpg": output.getvalue()}, packing=zipfile.ZIP_DEFLATED)
    )
    (tmp_path / "test_00.zip").write_bytes(zip_of({"00/9999999999999999.jpg": output.getvalue()}))
    files = [tmp_path / name for name in ("train_00.zip", "train_01.zip", "test_00.zip", "train.csv", "test.csv")]
    photos, _, reader = collect(tmp_path, {"adapter": "osv5m", "crop_bottom_px": 14}, files)
    assert photos["split"].to_dict() == dict.fromkeys(ids, "train") | {"9999999999999999": "test"}
    chatham, namibia, paris = (photos.loc[name] for name in ids)
    assert chatham["given_climate"] == 15 and chatham["given_drives_on_left"] and chatham["author"] == "77"
    assert namibia["given_country"] == "NA" and namibia["captured_at"] == pd.Timestamp("2020-01-01 12:00")
    assert pd.isna(paris["given_climate"]) and not paris["given_drives_on_left"] and pd.isna(paris["captured_at"])
    assert photos.loc["9999999999999999", ["latitude", "longitude"]].tolist() == [52.5, 13.4]
    stored = np.asarray(Image.open(io.BytesIO(reader.read(ids[0]))))
    assert stored.shape == (30, 60, 3) and stored[..., 1].max() < 60  # nothing of the white strip is left


@pytest.mark.parametrize("unpacked", [False, True])
def test_osv_mini_from_its_zip_or_its_folder(tmp_path, unpacked):
    rows = osv_rows()
    files = {"osv5m/train_mini.csv": rows["train.csv"].encode(), "osv5m/test_mini.csv": rows["test.csv"].encode()}
    for number, (place, name) in enumerate(
        [("train_images/Alaska", "3859149887465501"), ("train_images/Ohio", "1234567890123456"),
         ("train_images/Ohio", "2234567890123456"), ("test_images/Ohio", "9999999999999999")]
    ):  # fmt: skip
        files[f"osv5m/{place}/{name}.jpg"] = picture(number)
    if unpacked:
        for name, data in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        dataset, given = {"adapter": "osv_mini", "images": str(tmp_path / "osv5m")}, []
    else:
        (tmp_path / "osv-mini-129k.zip").write_bytes(zip_of(files))
        dataset, given = {"adapter": "osv_mini"}, [tmp_path / "osv-mini-129k.zip"]
    photos, rejected, reader = collect(tmp_path, dataset, given)
    assert photos["split"].value_counts().to_dict() == {"train": 3, "test": 1} and not len(rejected)
    assert reader.read("1234567890123456") == picture(1)


def test_photos_of_landmarks_get_the_coordinates_of_the_landmark(tmp_path):
    ids = ["6e158a47eb2ca3f6", "202cd79556f30760", "3ad87684c99c06e1"]
    (tmp_path / "train.csv").write_text(
        "id,url,landmark_id\n" + "".join(f"{name},https://w/{name},{n}\n" for n, name in enumerate(ids))
    )
    (tmp_path / "train_attribution.csv").write_text(
        "id,url,author,license,title\n"
        f'{ids[1]},u,"Doe, Jane",https://creativecommons.org/licenses/by/3.0/,t\n'
        f"{ids[0]},u,Ann,https://creativecommons.org/licenses/by/2.0/,t\n"
    )
    (tmp_path / "google_landmarks_places.csv").write_text(
        "id,category_name,name,lat,lon,city,state,country\n0,c,Tower,48.858,2.294,Paris,,FR\n1,c,Gate,52.516,13.378,B,,DE\n"
    )
    for n, name in enumerate(ids):
        place = f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg"
        (tmp_path / f"images_{n:03d}.tar").write_bytes(tar_of({place: picture(n)}))
    photos, _, reader = collect(tmp_path, {"adapter": "landmarks"}, sorted(tmp_path.glob("*.*")))
    assert set(photos.index) == set(ids[:2])  # the third landmark has no known place
    assert photos.loc[ids[1], ["latitude", "author"]].tolist() == [52.516, "Doe, Jane"]
    assert "licenses/by/2.0" in photos.loc[ids[0], "licence"] and reader.read(ids[1]) == picture(1)


def test_benchmark_names_are_matched_behind_the_prefix_and_swapped_columns_are_reported(tmp_path):
    (tmp_path / "gps_query_imgs.zip").write_bytes(
        zip_of({"gps_query_imgs/Abu_Dhabi_00012_104123223_7410c654ba_19_32685771@N00.jpg": picture(1)})
    )
    table = tmp_path / "im2gps_places365.csv"
    table.write_text("IMG_ID,AUTHOR,LAT,LON\n104123223_7410c654ba_19_32685771@N00.jpg,32685771@N00,24.47,54.37\n")
    dataset = {"adapter": "csv_folder", "columns": {"file": "IMG_ID"}, "match": "name", "strip": r"^.*?_\d{5}_"}
    files = [tmp_path / "gps_query_imgs.zip", table]
    photos, _, _ = collect(tmp_path, dataset, files)
    assert list(photos.index) == ["104123223_7410c654ba_19_32685771@N00"]
    with pytest.raises(HomingError, match="known to be at 54.37, 24.47.*are the columns swapped"):
        collect(tmp_path, dataset | {"check": {"104123223": [54.37, 24.47]}}, files)


VIEWS = [f"{place}_{view}.jpg" for place in ("one", "two") for view in range(4)]
LAYOUTS = {
    "pattern": ("id,lat,lon,heading\none,1,2,350\ntwo,3,4,\n", {"file": "{photo_id}_{view}.jpg"}),
    "columns": (
        "id,lat,lon,heading,file_0,file_1,file_2,file_3\n"
        "one,1,2,350,one_0.jpg,one_1.jpg,one_2.jpg,one_3.jpg\ntwo,3,4,,two_0.jpg,two_1.jpg,two_2.jpg,two_3.jpg\n",
        {},
    ),
    "rows": (
        "id,lat,lon,heading,view,file\n"
        + "".join(f"one,1,2,{(350 + 90 * v) % 360},{v},one_{v}.jpg\n" for v in range(4))
        + "".join(f"two,3,4,,{v},two_{v}.jpg\n" for v in range(4)),
        {},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_panoramas_of_four_views_in_three_layouts(tmp_path, layout):
    text, columns = LAYOUTS[layout]
    (tmp_path / "panoramas.csv").write_text(text)
    for number, name in enumerate(VIEWS):
        (tmp_path / name).write_bytes(picture(number))
    dataset = {"adapter": "csv_folder", "images": str(tmp_path), "views": 4, "columns": columns}
    photos, _, reader = collect(tmp_path, dataset, [tmp_path / "panoramas.csv"])
    assert photos["views"].tolist() == [4, 4]
    assert photos.loc["one", "heading_deg"] == 350 and pd.isna(photos.loc["two", "heading_deg"])
    assert [reader.read(name[:3], int(name[4])) for name in VIEWS] == [picture(n) for n in range(8)]
    with tarfile.open(next(Path(reader.folder).glob("*.tar"))) as tar:
        assert set(tar.getnames()) == {f"{name[:3]}.{name[4]}.jpg" for name in VIEWS}


def test_a_panorama_that_lacks_a_view_is_rejected_as_a_whole(tmp_path):
    (tmp_path / "panoramas.csv").write_text(LAYOUTS["pattern"][0])
    for number, name in enumerate(VIEWS):
        (tmp_path / name).write_bytes(picture(number) if name != "one_2.jpg" else b"no image")
    dataset = {"adapter": "csv_folder", "images": str(tmp_path), "views": 4, "columns": LAYOUTS["pattern"][1]}
    photos, rejected, reader = collect(tmp_path, dataset, [tmp_path / "panoramas.csv"], share=0.5)
    assert list(photos.index) == ["two"] and "one" not in reader
    assert rejected["photo_id"].tolist() == ["one"] and rejected["reason"][0].startswith("view 2: not an image")


def test_a_folder_of_photos_with_coordinates_in_their_exif(tmp_path):
    def exif(latitude, longitude, more=None) -> Image.Exif:
        found = Image.Exif()
        gps = {
            ExifTags.GPS.GPSLatitudeRef: "S" if latitude < 0 else "N", ExifTags.GPS.GPSLatitude: dms(latitude),
            ExifTags.GPS.GPSLongitudeRef: "W" if longitude < 0 else "E", ExifTags.GPS.GPSLongitude: dms(longitude),
        } | (more or {})  # fmt: skip
        found[ExifTags.IFD.GPSInfo] = gps
        found[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2019:07:14 10:20:30"}
        found[ExifTags.Base.Artist] = "Ann"
        return found

    def dms(value: float) -> tuple[float, float, float]:
        value = abs(value)
        minutes = value % 1 * 60
        return (float(int(value)), float(int(minutes)), round(minutes % 1 * 60, 4))

    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    sydney = exif(-33.8568, 151.2153, {ExifTags.GPS.GPSImgDirection: 271.5})
    (folder / "trip/a.jpg").write_bytes(picture(1, exif=sydney))
    (folder / "trip/b.JPG").write_bytes(picture(2, exif=exif(40.6892, -74.0445)))
    (folder / "plain.jpg").write_bytes(picture(3))
    (folder / "notes.txt").write_text("no photo")
    photos, rejected, reader = collect(tmp_path, {"adapter": "exif_folder", "images": str(folder)}, [], share=0.5)
    places = photos.loc[["trip_a", "trip_b"], ["latitude", "longitude"]].to_numpy()
    np.testing.assert_allclose(places, [[-33.8568, 151.2153], [40.6892, -74.0445]], atol=1e-6)
    assert photos.loc["trip_a", "heading_deg"] == 271.5 and photos.loc["trip_a", "author"] == "Ann"
    assert photos.loc["trip_a", "captured_at"] == pd.Timestamp("2019-07-14 10:20:30")
    assert rejected["reason"].tolist() == ["no GPS position in its EXIF"] and "plain.jpg" in rejected["content"][0]
    stored = Image.open(io.BytesIO(reader.read("trip_a")))
    assert not stored.getexif() and b"Ann" not in reader.read("trip_a")


def test_a_missing_view_column_or_table_is_named(tmp_path):
    table = tmp_path / "p.csv"
    table.write_text("id,lat,lon,file_0,file_1\na,1,2,x,y\n")
    with pytest.raises(HomingError, match="no column 'file_2' for a view"):
        collect(tmp_path, {"adapter": "csv_folder", "images": str(tmp_path), "views": 4}, [table])
    with pytest.raises(HomingError, match="expected one csv and the chunks of a tar"):
        collect(tmp_path, {"adapter": "mp16"}, [table])
    with pytest.raises(HomingError, match="landmarks: no train.csv among p.csv"):
        collect(tmp_path, {"adapter": "landmarks"}, [table])


def test_the_adapter_of_the_guide_works_as_printed(tmp_path, monkeypatch):
    guide = (Path(__file__).resolve().parents[3] / "docs/data.md").read_text(encoding="utf-8")
    code = guide.split("```python\n")[1].split("```")[0]
    assert len(code.split("\n\n\nADAPTERS[")[0].splitlines()) <= 30
    known = dict(adapters.ADAPTERS)
    exec(code, dict(vars(adapters)) | {"ADAPTERS": known})  # our own guide
    monkeypatch.setitem(adapters.ADAPTERS, "commons", known["commons"])
    lines = [
        {
            "pageid": 7,
            "title": "File:A b.jpg",
            "coordinates": {"lat": 1.5, "lon": 2},
            "artist": "Ann",
            "license": "CC0",
        },
        {"pageid": 8, "title": "File:C.jpg", "coordinates": {"lat": 99, "lon": 120}, "artist": "Bo", "license": "CC0"},
    ]
    (tmp_path / "commons.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "files.tar").write_bytes(tar_of({"x/A b.jpg": picture(1), "x/C.jpg": picture(2)}))
    files = [tmp_path / "commons.jsonl", tmp_path / "files.tar"]
    photos, rejected, reader = collect(tmp_path, {"adapter": "commons"}, files, share=1)
    assert photos[["latitude", "author", "licence"]].to_numpy().tolist() == [[1.5, "Ann", "CC0"]]
    assert reader.read("7") == picture(1) and rejected["photo_id"].tolist() == ["8"]


def test_files_below_min_bytes_are_rejected(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "t.csv").write_text("id,lat,lon,file\na,1,2,a.jpg\n")
    dataset = {"adapter": "csv_folder", "images": str(tmp_path), "min_bytes": len(picture(1)) + 1}
    _, rejected, _ = collect(tmp_path / "one", dataset, [tmp_path / "t.csv"], share=1)
    assert rejected["reason"].tolist() == [f"a file of less than {len(picture(1)) + 1} bytes"]
    photos, _, _ = collect(tmp_path / "two", dataset | {"min_bytes": len(picture(1))}, [tmp_path / "t.csv"])
    assert len(photos) == 1
