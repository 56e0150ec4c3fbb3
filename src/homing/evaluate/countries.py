"""Country codes by ISO 3166, the continents of countries, and the countries that answers lie in."""

import csv
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pandas as pd

from homing.shipped import ROOT

CONTINENTS = ROOT / "resources" / "continents.csv"

Locate = Callable[[np.ndarray, np.ndarray], pd.DataFrame]  # latitude (n,), longitude (n,) -> country, region


@cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    """Return the alpha-3 codes by alpha-2 code, and the continents by alpha-3 code."""
    with CONTINENTS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    alpha3 = {row["iso_a2"]: row["iso_a3"] for row in rows if row["iso_a2"]}
    return alpha3, {row["iso_a3"]: row["continent"] for row in rows}


def to_alpha3(codes: pd.Series) -> pd.Series:
    """Return codes as ISO 3166 alpha-3; unknown codes are kept, empty ones are missing."""
    alpha3, _ = _table()
    upper = {code: str(code).strip().upper() for code in codes.dropna().unique()}
    return codes.map({code: alpha3.get(letters, letters) for code, letters in upper.items() if letters})


def continents(codes: pd.Series) -> pd.Series:
    """Return the continent of alpha-3 codes; missing if it is unknown."""
    return codes.map(_table()[1])


def locate_first_answers(readouts: Mapping[str, pd.DataFrame], locate: Locate) -> dict[str, pd.DataFrame]:
    """Return the answers of rank 0 of each `predictions` table, with the country and region that they lie in.

    All tables are located in one call, each distinct place once.
    """
    place = ["latitude", "longitude"]
    first = {name: table[table["rank"] == 0] for name, table in readouts.items()}
    places = pd.concat([table[place] for table in first.values()]).drop_duplicates(ignore_index=True)
    located = places.join(locate(*places.to_numpy().T)[["country", "region"]])
    return {name: table.merge(located, on=place, how="left", validate="m:1") for name, table in first.items()}
