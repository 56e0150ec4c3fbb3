"""Countries by any ISO 3166 code, the continents they count to, and the countries that answers lie in."""

import csv
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pandas as pd

from homing.shipped import ROOT

CONTINENTS = ROOT / "resources" / "continents.csv"

Locate = Callable[[np.ndarray, np.ndarray], pd.DataFrame]  # latitude, longitude: country and region of each


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


def name_first_answers(readouts: Mapping[str, pd.DataFrame], locate: Locate) -> dict[str, pd.DataFrame]:
    """The answers of rank 0 of each `predictions` table, with the country and region that hold them.

    All places are looked up at once, each one time.
    """
    place = ["latitude", "longitude"]
    first = {name: table[table["rank"] == 0] for name, table in readouts.items()}
    places = pd.concat([table[place] for table in first.values()]).drop_duplicates(ignore_index=True)
    names = places.join(locate(*places.to_numpy().T)[["country", "region"]])
    return {name: table.merge(names, on=place, how="left", validate="m:1") for name, table in first.items()}
