"""A photo on the page: the picture, its true place, the answer and the credit."""

from typing import Any

import numpy as np
import pandas as pd

from homing.photos.images import data_uri, decode_image
from homing.readouts import ANSWER
from homing.report.inputs import Inputs, place_name

SIDE, SMALL_SIDE = 300, 120  # pixels
SIMILAR = 3  # training photos beside a failure


def spread_evenly(inputs: Inputs, rows: np.ndarray, count: int) -> list[int]:
    """Return at most `count` evenly spaced rows, ends included, of those whose picture is stored."""
    shown = stored(inputs, rows)
    return shown[np.unique(np.linspace(0, len(shown) - 1, min(count, len(shown))).astype(int))].tolist()


def first_stored(inputs: Inputs, rows: np.ndarray, count: int) -> list[int]:
    """Return the first `count` of the rows whose picture is stored."""
    return stored(inputs, rows)[:count].tolist()


def stored(inputs: Inputs, rows: np.ndarray) -> np.ndarray:
    """Return the rows of `truth` whose picture is stored."""
    return rows[inputs.reader.rows(inputs.truth["photo_id"].iloc[rows].tolist()) >= 0]


def card(inputs: Inputs, row: int) -> dict[str, Any]:
    """Return a photo of `truth` as the templates show it."""
    photo, answer = inputs.truth.iloc[row], inputs.answers.iloc[row]
    return {
        "photo_id": photo["photo_id"],
        "image": picture(inputs, photo["photo_id"], SIDE),
        "true": place_name(photo),
        "true_place": coordinates(photo),
        "answer": place_name(answer),
        "answer_place": coordinates(answer),
        "probability": float(answer["probability"]),
        "km": float(inputs.error_km[ANSWER][row]),
        "credit": credit(inputs.credits.loc[photo["photo_id"]]),
    }


def picture(inputs: Inputs, photo_id: str, side: int) -> str:
    """Return a photo as a data URI."""
    return data_uri(decode_image(inputs.reader.read(photo_id)), side)


def coordinates(place: pd.Series) -> str:
    """Format latitude and longitude to a hundredth of a degree: about a kilometre."""
    return f"{place['latitude']:.2f}, {place['longitude']:.2f}"


def credit(row: pd.Series) -> str:
    """Return photographer, licence and address, as far as the collection has them for each photo."""
    licence = row["licence"] if isinstance(row["licence"], str) else "licence: see data and licences"
    return " · ".join(text for text in (row["author"], licence, row["source_url"]) if isinstance(text, str))


def similar_training_photos(inputs: Inputs, row: int) -> list[dict[str, Any]]:
    """Return the training photos at the places of the first answers: the nearest neighbour in each chosen prototype.

    A refined answer lies where that photo was taken; an answer at the centroid of its cell has none.
    """
    table = inputs.predictions[ANSWER]
    answers = table[table["photo_id"] == inputs.truth["photo_id"].iloc[row]].nsmallest(SIMILAR, "rank")
    found = answers.merge(inputs.members, on=["latitude", "longitude"], suffixes=("", "_member"))
    found = found.drop_duplicates("rank").merge(inputs.cells.table[["cell_id", "region", "country_name"]], on="cell_id")
    return [
        {
            "image": picture(inputs, one["photo_id_member"], SMALL_SIDE),
            "place": place_name(one),
            "probability": float(one["probability"]),
            "credit": credit(inputs.credits.loc[one["photo_id_member"]]),
        }
        for one in found.sort_values("rank").to_dict("records")
        if one["photo_id_member"] in inputs.reader
    ]
