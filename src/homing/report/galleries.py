"""Section of example photos: answers from best to worst, and three kinds of failure."""

from typing import Any

import numpy as np

from homing.evaluate import failures
from homing.readouts import ANSWER
from homing.report.inputs import Inputs
from homing.report.photos import card, first_stored, similar_training_photos, spread_evenly

SPREAD_PHOTOS, FAILURE_PHOTOS = 12, 6  # shown in each gallery


def section(inputs: Inputs) -> dict[str, Any]:
    """Return what the template galleries_section.html.j2 shows."""
    order = np.argsort(inputs.error_km[ANSWER], kind="stable")
    return {
        "spread": [card(inputs, row) for row in spread_evenly(inputs, order, SPREAD_PHOTOS)],
        "failures": [gallery(inputs, *kind) for kind in kinds(inputs)],
        "total": len(inputs.truth),
    }


def kinds(inputs: Inputs) -> list[tuple[str, str, np.ndarray]]:
    """Return title, explanation and rows of `truth` for each kind of failure."""
    error_km, answers, truth = inputs.error_km[ANSWER], inputs.answers, inputs.truth
    probability = answers["probability"].fillna(0).to_numpy(dtype=np.float64)
    latitude = answers["latitude"].fillna(0).to_numpy()
    return [
        (
            "Confident and wrong",
            f"More than {failures.FAR_KM:g} km off, most probable answers first",
            failures.confident_errors(error_km, probability),
        ),
        (
            "Right country, wrong place",
            f"In the right country and more than {failures.NEAR_KM:g} km off, largest errors first",
            failures.right_country(error_km, truth["country"], answers["country"]),
        ),
        (
            "Wrong hemisphere",
            f"North for south or south for north, both more than {failures.TROPICS_DEGREES:g}° from the equator",
            failures.hemisphere_flips(truth["latitude"].to_numpy(), latitude, probability),
        ),
    ]


def gallery(inputs: Inputs, title: str, what: str, rows: np.ndarray) -> dict[str, Any]:
    """Return the first photos of a kind of failure, each with the training photos behind its answers."""
    cards = [
        card(inputs, row) | {"similar": similar_training_photos(inputs, row)}
        for row in first_stored(inputs, rows, FAILURE_PHOTOS)
    ]
    return {"title": title, "what": what, "count": len(rows), "cards": cards}
