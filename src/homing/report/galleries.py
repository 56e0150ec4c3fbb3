"""Section: photos to learn from, the answers from best to worst and three kinds of failure."""

from typing import Any

import numpy as np

from homing.evaluate import failures
from homing.readouts import ANSWER
from homing.report.inputs import Inputs
from homing.report.photos import card, evenly, first, likenesses

SPREAD, FAILED = 12, 6  # photos of each gallery


def section(inputs: Inputs) -> dict[str, Any]:
    """The photos from best to worst, and a gallery of each kind of failure."""
    order = np.argsort(inputs.away_km[ANSWER], kind="stable")
    return {
        "spread": [card(inputs, row) for row in evenly(inputs, order, SPREAD)],
        "failures": [gallery(inputs, *kind) for kind in kinds(inputs)],
        "total": len(inputs.truth),
    }


def kinds(inputs: Inputs) -> list[tuple[str, str, np.ndarray]]:
    """Title, explanation and rows of each kind."""
    away, answers, truth = inputs.away_km[ANSWER], inputs.answers, inputs.truth
    probability = answers["probability"].fillna(0).to_numpy(dtype=np.float64)
    latitude = answers["latitude"].fillna(0).to_numpy()
    return [
        (
            "Confident and wrong",
            f"More than {failures.FAR_KM:g} km off, by the probability of the answer",
            failures.confident_errors(away, probability),
        ),
        (
            "Right country, wrong place",
            f"In the right country and more than {failures.NEAR_KM:g} km off, the farthest first",
            failures.right_country(away, truth["country"], answers["country"]),
        ),
        (
            "The other hemisphere",
            f"North for south or south for north, both more than {failures.TROPICS_DEGREES:g}° from the equator",
            failures.hemisphere_flips(truth["latitude"].to_numpy(), latitude, probability),
        ),
    ]


def gallery(inputs: Inputs, title: str, what: str, rows: np.ndarray) -> dict[str, Any]:
    """The first photos of a kind, with what they were taken for."""
    cards = [card(inputs, row) | {"like": likenesses(inputs, row)} for row in first(inputs, rows, FAILED)]
    return {"title": title, "what": what, "count": len(rows), "cards": cards}
