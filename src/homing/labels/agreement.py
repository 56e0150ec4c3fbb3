"""What a collection says about its photos, beside what is looked up here: which of the two is wrong is for a person."""

import csv
import logging
from pathlib import Path

import pandas as pd

log = logging.getLogger(__name__)

COLUMNS = ["label", "given", "ours", "photos"]
PAIRS = {  # column of the photo table -> column of the labels
    "given_country": "country",
    "given_climate": "climate",
    "given_drives_on_left": "drives_on_left",
}


def compare(photos: pd.DataFrame, labels: pd.DataFrame, country_codes: dict[str, str]) -> pd.DataFrame:
    """How many photos have each pair of values, columns `COLUMNS`, the most frequent first; empty if nothing is given.

    photos and labels: aligned rows. Country codes of two letters are translated by `country_codes` before they are
    compared. A photo counts for a label where both the collection and we say something.
    """
    parts = []
    for given_name, name in PAIRS.items():
        given, ours = photos[given_name], labels[name]
        if name == "country":
            given = given.str.upper().map(lambda code: country_codes.get(code, code), na_action="ignore")
        both = (given.notna() & ours.notna()).to_numpy()
        pairs = pd.DataFrame({"given": given[both].astype(str).to_numpy(), "ours": ours[both].astype(str).to_numpy()})
        counted = pairs.value_counts(["given", "ours"]).rename("photos").reset_index()
        counted.insert(0, "label", name)
        parts.append(counted.sort_values(["photos", "given", "ours"], ascending=[False, True, True]))
        if both.any():
            same = counted["photos"][counted["given"] == counted["ours"]].sum()
            log.info("%s: %.2f %% of %d photos agree with the collection", name, 100 * same / both.sum(), both.sum())
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def read_country_codes(driving_side: str | Path) -> dict[str, str]:
    """ISO 3166-1 codes of two letters and their three letters, from the table of driving sides ("NA" is Namibia)."""
    with Path(driving_side).open(newline="", encoding="utf-8") as file:
        return {row["iso_a2"]: row["iso_a3"] for row in csv.DictReader(file) if row["iso_a2"] and row["iso_a3"]}
