"""Countries by any ISO 3166 code, and the continents they count to."""

import csv
from functools import cache

import pandas as pd

from homing.shipped import ROOT

CONTINENTS = ROOT / "resources" / "continents.csv"


@cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    """Three letters by two, and continents by three."""
    with CONTINENTS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    three = {row["iso_a2"]: row["iso_a3"] for row in rows if row["iso_a2"]}
    return three, {row["iso_a3"]: row["continent"] for row in rows}


def three_letters(codes: pd.Series) -> pd.Series:
    """Codes with three letters; two become three, what is unknown stays, and the empty ones are missing."""
    three, _ = _table()
    upper = {code: str(code).strip().upper() for code in codes.dropna().unique()}  # few: each is looked at once
    return codes.map({code: three.get(letters, letters) for code, letters in upper.items() if letters})


def continents(codes: pd.Series) -> pd.Series:
    """The continent of three-letter codes; missing where there is none."""
    return codes.map(_table()[1])
