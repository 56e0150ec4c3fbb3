"""Compare the labels that a collection gives its photos with those looked up here; a person decides which is wrong."""

import csv
import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa

from homing import tables

log = logging.getLogger(__name__)

COLUMNS = ["label", "given", "ours", "photos"]
PAIRS = {  # column of the photo table -> column of the labels
    "given_country": "country",
    "given_climate": "climate",
    "given_drives_on_left": "drives_on_left",
}


def compare(photos: str | Path, labels: str | Path, country_codes: dict[str, str]) -> pd.DataFrame:
    """Count the photos of each pair of given and looked-up value; columns `COLUMNS`, the most frequent pairs first.

    photos and labels: tables of the same photos, in the same order. country_codes: ISO 3166-1 alpha-2 to alpha-3,
    applied to given countries. A photo counts for a label only where both values are present; the result is empty if
    the collection gives no labels.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for given_name, name in PAIRS.items():
        given = tables.read_arrow(photos, "photos", [given_name])[given_name]
        if given.null_count == len(given):
            continue
        ours = tables.read_arrow(labels, "labels", [name])[name]
        both = pa.table({"given": given, "ours": ours}).drop_null()
        pairs = both.group_by(["given", "ours"]).aggregate([([], "count_all")])
        counted = pairs.rename_columns(["given", "ours", "photos"]).to_pandas().astype({"given": str, "ours": str})
        if name == "country":
            codes = counted["given"].str.upper()
            counted["given"] = codes.map(lambda code: country_codes.get(code, code))
            counted = counted.groupby(["given", "ours"], as_index=False)["photos"].sum()
        counted.insert(0, "label", name)
        parts.append(counted.sort_values(["photos", "given", "ours"], ascending=[False, True, True]))
        total, same = counted["photos"].sum(), counted["photos"][counted["given"] == counted["ours"]].sum()
        if total:
            log.info("%s: %.2f %% of %d photos agree with the collection", name, 100 * same / total, total)
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def read_country_codes(driving_side: str | Path) -> dict[str, str]:
    """Read ISO 3166-1 alpha-2 codes and their alpha-3 codes from the table of driving sides ("NA" is Namibia)."""
    with Path(driving_side).open(newline="", encoding="utf-8") as file:
        return {row["iso_a2"]: row["iso_a3"] for row in csv.DictReader(file) if row["iso_a2"] and row["iso_a3"]}
