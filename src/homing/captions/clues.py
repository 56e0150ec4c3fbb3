"""The clues a caption may tell: one sentence per clue and photo, null where the label is missing.

The wording follows the examples in Haas et al., "PIGEON", CVPR 2024, section 3.3.
"""

import csv
from functools import cache

import pandas as pd

from homing.shipped import ROOT

KOPPEN_CLASSES = ROOT / "resources" / "koppen_classes.csv"
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
SEASONS = ("winter", "spring", "summer", "autumn")
WINDS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
PLURAL_WORDS = (
    "islands",
    "states",
    "emirates",
    "maldives",
    "netherlands",
    "philippines",
    "seychelles",
    "bahamas",
    "comoros",
)
SINGULAR_WITH_ARTICLE = ("republic", "kingdom", "gambia", "vatican", "isle of man", "democratic republic", "federation")


def write_clues(photos: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The clues of each photo: tables `photos` and `labels` in, a table `captions` in the order of `photos` out."""
    joined = photos[["photo_id", "latitude", "heading_deg"]].merge(labels, on="photo_id", how="left", validate="1:1")
    rows = joined.astype(object).where(joined.notna(), None).to_dict("records")
    return pd.DataFrame(
        {
            "photo_id": joined["photo_id"],
            "location": [location(row["country_name"], row["region"], row["town"]) for row in rows],
            "climate": [climate(row["climate"]) for row in rows],
            "driving_side": [driving_side(row["drives_on_left"]) for row in rows],
            "month": [month(row["month"]) for row in rows],
            "season": [season(row["month"], row["latitude"]) for row in rows],
            "heading": [heading(row["heading_deg"]) for row in rows],
        },
        dtype=object,
    )


def location(country: str | None, region: str | None, town: str | None) -> str | None:
    """`A photo I took [close to the town of T ][in the region of R ]in C.`"""
    if country is None:
        return None
    near = f"close to the town of {town} " if town else ""
    within = f"in the region of {region} " if region else ""
    return f"A photo I took {near}{within}in {with_article(country)}."


def with_article(country: str) -> str:
    """The country's name as it stands after "in": the Netherlands, the United States, France."""
    name = country.lower()
    takes_article = name.endswith(PLURAL_WORDS) or any(word in name for word in SINGULAR_WITH_ARTICLE)
    return f"the {country}" if takes_article and not name.startswith("the ") else country


def climate(koppen_class: int | None) -> str | None:
    """The description of a Koppen-Geiger class 1..30."""
    return (
        None if koppen_class is None else f"This location has a {climate_names()[int(koppen_class)].lower()} climate."
    )


@cache
def climate_names() -> dict[int, str]:
    """Descriptions of the Koppen-Geiger classes, by raster value (Beck et al. 2023)."""
    with KOPPEN_CLASSES.open(newline="", encoding="utf-8") as file:
        return {int(row["raster_value"]): row["description"] for row in csv.DictReader(file)}


def driving_side(drives_on_left: bool | None) -> str | None:
    """Which side of the road people drive on."""
    if drives_on_left is None:
        return None
    return f"In this location, people drive on the {'left' if drives_on_left else 'right'} side of the road."


def month(number: int | None) -> str | None:
    """The month 1..12 the photo was taken in."""
    return None if number is None else f"This photo was taken in {MONTHS[int(number) - 1]}."


def season(number: int | None, latitude: float) -> str | None:
    """The season of the month on the photo's hemisphere."""
    if number is None:
        return None
    quarter = (int(number) % 12) // 3
    return f"This photo was taken in {SEASONS[quarter if latitude >= 0 else (quarter + 2) % 4]}."


def heading(degrees: float | None) -> str | None:
    """The compass direction the camera looked to, one of eight winds."""
    return None if degrees is None else f"This photo is facing {WINDS[round(degrees / 45) % 8]}."
