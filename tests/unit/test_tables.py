"""Tables are read as they were written, and no table with an invalid value appears."""

import numpy as np
import pandas as pd
import pytest

from homing import tables
from homing.errors import HomingError


def photos(**changes) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"photo_id": ["a", "b"], "latitude": [1.0, -90.0], "longitude": [2.0, -180.0], "views": [1, 4]}
    )
    return frame.assign(**changes)


def test_round_trip_and_absent_columns_are_null(tmp_path):
    path = tmp_path / "photos.parquet"
    tables.write(path, photos(author=["NA", None]), "photos")
    back = tables.read(path, "photos")
    assert list(back.columns) == tables.SCHEMAS["photos"].names
    assert back["author"].tolist()[0] == "NA" and back["author"].isna().tolist() == [False, True]
    assert back["captured_at"].isna().all()
    assert back["latitude"].tolist() == [1.0, -90.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latitude": [95.0, 0.0]}, "latitude 95.0 is outside"),
        ({"longitude": [0.0, 181.0]}, "longitude 181.0 is outside"),
        ({"latitude": [np.nan, 0.0]}, "latitude"),
        ({"photo_id": ["a", "a"]}, "unique"),
        ({"photo_id": [None, "a"]}, "'photo_id'"),
        ({"views": ["one", "two"]}, "'views'"),
        ({"lat": [1.0, 2.0]}, "'lat' is not part"),
    ],
)
def test_an_invalid_table_is_an_error_and_leaves_the_old_one(tmp_path, changes, message):
    path = tmp_path / "photos.parquet"
    tables.write(path, photos(), "photos")
    before = path.read_bytes()
    with pytest.raises(HomingError, match=message):
        tables.write(path, photos(**changes), "photos")
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["photos.parquet"]


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(HomingError, match="no such photos table"):
        tables.read(tmp_path / "none.parquet", "photos")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(HomingError, match="cut.parquet"):
        tables.read(tmp_path / "cut.parquet", "photos")
