"""Results that other systems published, with their source and whether their training photos leak into the benchmark."""

import csv
from typing import Any

from homing.shipped import ROOT

PUBLISHED = ROOT / "resources" / "published_results.csv"
TEXTS = ("benchmark", "system", "leaks", "checked", "source")


def published(benchmark: str | None) -> list[dict[str, Any]]:
    """Results on a benchmark, as our figures are: shares 0 to 1, km.

    Rows not yet checked against their paper are left out. A figure that is not published is absent. leaks: yes, no,
    unknown, or what is shared.
    """
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == benchmark and row["checked"] == "yes"]
    return [_figures(row) for row in rows]


def _figures(row: dict[str, str]) -> dict[str, Any]:
    percent = ("within_", "country_")
    numbers = {
        name: round(float(text) / 100, 6) if name.startswith(percent) else float(text)
        for name, text in row.items()
        if name not in TEXTS and text
    }
    return {"system": row["system"], "source": row["source"], "leaks": row["leaks"], **numbers}
