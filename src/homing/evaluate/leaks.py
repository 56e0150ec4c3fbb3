"""Data leakage: photos of a benchmark that match training photos, by reason, and the metrics with and without them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd


def leak_metrics(
    leaks: pd.DataFrame,
    photo_ids: pd.Series,
    figures: Callable[[np.ndarray], dict[str, Any]],
    reasons: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the number and share of photos that match, counts by reason, and metrics of both parts, ready for JSON.

    leaks: benchmark_photo_id, reason; photo_ids: (n,), of the scored photos; figures: returns the metrics of a mask
    (n,), called only if it has a photo; reasons: those that were searched for, reported even if none was found.
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
