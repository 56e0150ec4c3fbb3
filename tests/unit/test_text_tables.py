"""Tables of unknown origin come in whole as text, and lines that cannot be parsed are reported with their row."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homing import text_tables
from homing.errors import HomingError
from homing.text_tables import TextTable

CELLS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=8)


def contents(table: TextTable, columns: list[str]) -> tuple[dict[int, list[str]], dict[int, str]]:
    """The cells of each row, and the reason for each invalid one."""
    rows, reasons = {}, {}
    for batch in table.batches(columns):
        rows |= dict(zip(batch.rows.tolist(), batch.cells.to_numpy().tolist(), strict=True))
        reasons |= {row: reason for row, reason, _ in batch.invalid}
    return rows, reasons


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), delimiter=st.sampled_from(",;\t"))
def test_any_text_comes_back(tmp_path_factory, lines, delimiter):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("first", "second"), *lines])
    rows, reasons = contents(TextTable.from_path(path), ["second", "first"])
    assert rows == {row: [second, first] for row, (first, second) in enumerate(lines)} and not reasons


def test_invalid_lines_are_reported_by_row_across_batches(monkeypatch):
    monkeypatch.setattr(text_tables, "BLOCK_BYTES", 64)
    lines, expected = [b"id,lat"], {}
    for row in range(60):
        if row % 7 == 3:
            lines.append(b"%d,1,2" % row)
            expected[row] = "the line has 3 cells instead of 2"
        elif row % 11 == 5:
            lines.append(b"%d\xff,1" % row)
            expected[row] = "the line is not UTF-8"
        else:
            lines.append(b"%d,1" % row)
    rows, reasons = contents(TextTable.from_bytes("memory", b"\n".join(lines) + b"\n"), ["id", "lat"])
    assert reasons == expected
    assert rows == {row: [str(row), "1"] for row in range(60) if row not in expected}


def test_a_character_that_is_divided_between_two_cells_is_invalid():
    """Each half is no UTF-8, though both together would be."""
    table = TextTable.from_bytes("memory", b"a,b\nx,y\n\xc3,\xa9\n")
    assert contents(table, ["a", "b"]) == ({0: ["x", "y"]}, {1: "the line is not UTF-8"})


def test_parquet_of_any_type_is_read_as_text(tmp_path):
    frame = pd.DataFrame({"id": [1, 2], "lat": [0.5, np.nan], "word": ["NA", None]})
    frame.to_parquet(tmp_path / "table.parquet")
    rows, _ = contents(TextTable.from_path(tmp_path / "table.parquet"), ["word", "lat", "id"])
    assert rows[0] == ["NA", "0.5", "1"] and rows[1][0] == "" and rows[1][2] == "2"


def test_a_missing_or_broken_table_is_named(tmp_path):
    with pytest.raises(HomingError, match="none.csv: no such table"):
        TextTable.from_path(tmp_path / "none.csv")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(HomingError, match="cut.parquet: not a readable Parquet file"):
        TextTable.from_path(tmp_path / "cut.parquet")
