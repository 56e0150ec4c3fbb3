"""Photos of a benchmark that a run has too: how many, by which reason, and the figures with and without them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd


def describe_leaks(
    leaks: pd.DataFrame,
    photo_ids: pd.Series,
    figures: Callable[[np.ndarray], dict[str, Any]],
    reasons: Sequence[str] = (),
) -> dict[str, Any]:
    """Photos that `leaks` (benchmark_photo_id, reason) matches, ready for JSON.

    photo_ids: of the photos that are scored; figures: of a mask (n,) of them, asked where it holds any; reasons: that
    were looked for, told also where no photo is matched by them.
    """
    matched = leaks[leaks["benchmark_photo_id"].isin(photo_ids)]
    leaked = photo_ids.isin(matched["benchmark_photo_id"]).to_numpy()
    counts = matched.groupby("reason")["benchmark_photo_id"].nunique()
    found: dict[str, Any] = {"photos": int(leaked.sum()), "share": float(leaked.mean())}
    found["by_reason"] = dict.fromkeys(reasons, 0) | {name: int(count) for name, count in counts.items()}
    for name, rows in (("figures_of_leaked", leaked), ("figures_without", ~leaked)):
        if rows.any():
            found[name] = figures(rows)
    return found
