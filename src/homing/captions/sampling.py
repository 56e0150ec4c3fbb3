"""Random captions, drawn anew in each epoch. A draw depends on seed, epoch and photo, not on batch or process."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from homing.seeds import photo_rng

EMPTY = "A photo."
CLUES = ("climate", "driving_side", "month", "season", "heading", "location")  # in the order of their random draws


def sample_caption(clues: Mapping[str, str | None], settings: Mapping[str, float], rng: np.random.Generator) -> str:
    """Join some clues of a photo (None where unknown), each with its probability in the `captions` configuration."""
    draws = dict(zip(CLUES, rng.random(len(CLUES)), strict=True))

    def drawn(clue: str) -> bool:
        return clues[clue] is not None and draws[clue] < settings[clue]

    climate, month = drawn("climate"), drawn("month")
    location = settings["location"] * (1 - settings["drop_location"] if climate else 1)
    kept = {
        "location": clues["location"] is not None and draws["location"] >= 1 - location,
        "climate": climate,
        "driving_side": not climate and drawn("driving_side"),
        "month": month,
        "season": not month and drawn("season"),
        "heading": drawn("heading"),
    }
    return " ".join(text for clue, keep in kept.items() if keep and (text := clues[clue])) or EMPTY


def sample_captions(
    frame: pd.DataFrame, rows: Sequence[int] | np.ndarray, settings: Mapping[str, float], seed: int, epoch: int
) -> list[str]:
    """Draw the captions of the given rows of a `captions` table in one epoch."""
    chosen = frame.iloc[np.asarray(rows)]
    records = chosen.astype(object).where(chosen.notna(), None).to_dict("records")
    return [sample_caption(record, settings, photo_rng(seed, epoch, record["photo_id"])) for record in records]
