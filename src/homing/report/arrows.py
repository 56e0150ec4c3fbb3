"""Section: where answers are moved in one direction, as arrows on a map and as a table."""

from typing import Any

import pandas as pd

from homing.evaluate.displacement import compass, displacements
from homing.report.inputs import Inputs, place_name
from homing.report.maps import Map
from homing.report.page import km

BOX_DEGREES = 10.0
FEWEST = 5  # photos of an arrow
AGREED = 0.5  # from here on an arrow is drawn whole: more than half of the mean error points its way


def section(inputs: Inputs) -> dict[str, Any]:
    """The arrows and their rows."""
    truth = inputs.truth[["latitude", "longitude"]].to_numpy()
    table = displacements(truth, inputs.answers[["latitude", "longitude"]].to_numpy(), BOX_DEGREES, FEWEST)
    names = names_of_boxes(inputs.truth)
    rows = [
        row | {"name": names[row["box"]], "direction": compass(row["bearing_deg"]), "agreed": row["agreement"] > AGREED}
        for row in table.to_dict("records")
    ]
    return {"rows": rows, "map": arrows_map(rows) if rows else None, "box": BOX_DEGREES, "fewest": FEWEST}


def names_of_boxes(truth: pd.DataFrame) -> dict[tuple[int, int], str]:
    """The commonest region and country of the photos in each box."""
    boxes = (truth[["latitude", "longitude"]] // BOX_DEGREES).astype(int)
    named = pd.Series([place_name(names) for names in truth.to_dict("records")], index=truth.index)
    grouped = named.groupby([boxes["latitude"], boxes["longitude"]])
    return {box: str(group.mode().iloc[0]) for box, group in grouped}


def arrows_map(rows: list[dict[str, Any]]) -> str:
    """An arrow of each box; wider with more photos, whole where its photos agree, dashed where they do not."""
    world = Map()
    world.shared_land()
    most = max(row["photos"] for row in rows)
    for row in rows:
        told = f"{row['name']}: {km(row['length_km'])} to the {row['direction']}, {row['photos']:,} photos"
        start, end = (row["latitude"], row["longitude"]), (row["end_latitude"], row["end_longitude"])
        width = 1 + 2.5 * (row["photos"] / most) ** 0.5
        world.arrow(start, end, width, "arrow agreed" if row["agreed"] else "arrow scattered", told)
        world.point(*start, 2.2, "start")
    return world.svg("World map of the mean displacement of the answers, an arrow for each box with enough photos")
