"""The clues that captions are made of: one sentence per clue and photo, null where the label is missing.

The wording follows the examples in Haas et al., "PIGEON", CVPR 2024, section 3.3.
"""

import csv
from collections.abc import Sequence
from functools import cache

import pandas as pd

from homing.shipped import ROOT

KOPPEN_CLASSES = ROOT / "resources" / "koppen_classes.csv"
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
SEASONS = ("winter", "spring", "summer", "autumn")
DIRECTIONS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
PLURAL_WORDS = ("islands", "states", "emirates", "maldives", "netherlands", "philippines", "seychelles", "bahamas",
                "comoros")  # fmt: skip
SINGULAR_WITH_ARTICLE = ("republic", "kingdom", "gambia", "vatican", "isle of man", "democratic republic", "federation")


def write_clues(photos: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return a `captions` table, in the order of `photos`, from a `photos` and a `labels` table."""
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
    """Return `A photo I took [close to the town of T ][in the region of R ]in C.`"""
    if country is None:
        return None
    near = f"close to the town of {town} " if town else ""
    within = f"in the region of {region} " if region else ""
    return f"A photo I took {near}{within}in {with_article(country)}."


def with_article(country: str) -> str:
    """Return a country's name as it follows "in": the Netherlands, the United States, France."""
    name = country.lower()
    takes_article = name.endswith(PLURAL_WORDS) or any(word in name for word in SINGULAR_WITH_ARTICLE)
    return f"the {country}" if takes_article and not name.startswith("the ") else country


def climate(koppen_class: int | None) -> str | None:
    """Return the climate of a Köppen-Geiger class (1 to 30)."""
    return None if koppen_class is None else f"This location has {climate_phrase(climate_names()[int(koppen_class)])}."


def climate_phrase(description: str) -> str:
    """Return a description of resources/koppen_classes.csv as a noun phrase with its article.

    "Arid, steppe, hot" becomes "a hot arid steppe climate", and "Cold, no dry season, warm summer" becomes "a cold
    climate with no dry season and a warm summer".
    """
    group, *details = description.lower().split(", ")
    seasons = [detail for detail in details if detail.endswith(("season", "summer", "winter"))]
    landscape, *temperature = [detail for detail in details if detail not in seasons] or [""]
    words = " ".join(filter(None, [*temperature, group, landscape, "climate"]))
    return f"{with_indefinite_article(words)} with {_seasons(seasons)}" if seasons else with_indefinite_article(words)


def _seasons(seasons: Sequence[str]) -> str:
    """Join "no dry season", "dry winter" and the like; two adjectives of one season share its noun."""
    nouns = [season.rpartition(" ")[2] for season in seasons]
    if len(seasons) > 1 and len(set(nouns)) == 1:
        adjectives = ", ".join(season.rpartition(" ")[0] for season in seasons)
        return with_indefinite_article(f"{adjectives} {nouns[0]}")
    named = [season if season.startswith("no ") else with_indefinite_article(season) for season in seasons]
    return " and ".join(named)


def with_indefinite_article(words: str) -> str:
    """Return the words after "a", or "an" before a vowel."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@cache
def climate_names() -> dict[int, str]:
    """Return the description of each Köppen-Geiger class by raster value (Beck et al. 2023)."""
    with KOPPEN_CLASSES.open(newline="", encoding="utf-8") as file:
        return {int(row["raster_value"]): row["description"] for row in csv.DictReader(file)}


def driving_side(drives_on_left: bool | None) -> str | None:
    """Return the side of the road that people drive on."""
    if drives_on_left is None:
        return None
    return f"In this location, people drive on the {'left' if drives_on_left else 'right'} side of the road."


def month(number: int | None) -> str | None:
    """Return the month (1 to 12) in which the photo was taken."""
    return None if number is None else f"This photo was taken in {MONTHS[int(number) - 1]}."


def season(number: int | None, latitude: float) -> str | None:
    """Return the season of a month (1 to 12) on the hemisphere of the photo."""
    if number is None:
        return None
    quarter = (int(number) % 12) // 3
    return f"This photo was taken in {SEASONS[quarter if latitude >= 0 else (quarter + 2) % 4]}."


def heading(degrees: float | None) -> str | None:
    """Return the compass direction the camera faced: the nearest of eight."""
    return None if degrees is None else f"This photo is facing {DIRECTIONS[round(degrees / 45) % 8]}."
