"""Section on systematic displacement: mean error vectors of the answers, as arrows on a map and as a table."""

from typing import Any

import pandas as pd

from homing.evaluate.displacement import compass, displacements
from homing.report.inputs import Inputs, place_name
from homing.report.maps import Map
from homing.templates import km

BOX_DEGREES = 10.0
MIN_PHOTOS = 5  # in a box, to draw its arrow
MIN_AGREEMENT = 0.5  # for a solid arrow: length of the mean displacement over the mean length of displacements


def section(inputs: Inputs) -> dict[str, Any]:
    """Return what the template arrows_section.html.j2 shows."""
    truth = inputs.truth[["latitude", "longitude"]].to_numpy()
    table = displacements(truth, inputs.answers[["latitude", "longitude"]].to_numpy(), BOX_DEGREES, MIN_PHOTOS)
    names = names_of_boxes(inputs.truth)
    rows = table.to_dict("records")
    for row in rows:
        row["name"], row["direction"] = names[row["box"]], compass(row["bearing_deg"])
        row["agreed"] = row["agreement"] > MIN_AGREEMENT
    return {"rows": rows, "map": arrows_map(rows) if rows else None, "box": BOX_DEGREES, "min_photos": MIN_PHOTOS}


def names_of_boxes(truth: pd.DataFrame) -> dict[tuple[int, int], str]:
    """Return the most common region and country of the photos in each box."""
    boxes = (truth[["latitude", "longitude"]] // BOX_DEGREES).astype(int)
    named = pd.Series([place_name(names) for names in truth.to_dict("records")], index=truth.index)
    grouped = named.groupby([boxes["latitude"], boxes["longitude"]])
    return {box: str(group.mode().iloc[0]) for box, group in grouped}


def arrows_map(rows: list[dict[str, Any]]) -> str:
    """Draw an arrow for each box: wider with more photos, solid where the photos agree, dashed where they scatter."""
    world = Map()
    world.shared_land()
    most = max(row["photos"] for row in rows)
    for row in rows:
        title = f"{row['name']}: {km(row['length_km'])} to the {row['direction']}, {row['photos']:,} photos"
        start, end = (row["latitude"], row["longitude"]), (row["end_latitude"], row["end_longitude"])
        width = 1 + 2.5 * (row["photos"] / most) ** 0.5
        world.arrow(start, end, width, "arrow agreed" if row["agreed"] else "arrow scattered", title)
        world.point(*start, 2.2, "start")
    return world.svg("World map of the mean displacement of the answers, an arrow for each box with enough photos")
