"""Results that other systems published, with their source and whether their training photos leak into the benchmark."""

import csv
from typing import Any

from homing.evaluate.benchmarks import BENCHMARKS
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


def beside(dataset: str, photos: int) -> tuple[list[dict[str, Any]], str]:
    """Published results that compare with figures of so many photos of a data set, and why there are none.

    A data set that is no benchmark, or a part of one, has none: figures of other photos do not compare.
    """
    benchmark = BENCHMARKS.get(dataset)
    if benchmark is None:
        return [], f"{dataset} is no public benchmark: nobody has published figures of these photos"
    if photos != benchmark.photos:
        return (
            [],
            f"these are {photos:,} photos, and published figures are of all {benchmark.photos:,} of {benchmark.title}",
        )
    rows = published(dataset)
    return rows, "" if rows else f"no published result on {benchmark.title} has been checked against its paper"


def _figures(row: dict[str, str]) -> dict[str, Any]:
    percent = ("within_", "country_")
    numbers = {
        name: round(float(text) / 100, 6) if name.startswith(percent) else float(text)
        for name, text in row.items()
        if name not in TEXTS and text
    }
    return {"system": row["system"], "source": row["source"], "leaks": row["leaks"], **numbers}
