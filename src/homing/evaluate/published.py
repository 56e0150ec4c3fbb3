"""Published results of other systems, with their source and whether their training photos leak into the benchmark."""

import csv
from typing import Any

from homing.evaluate.benchmarks import BENCHMARKS
from homing.shipped import ROOT

PUBLISHED = ROOT / "resources" / "published_results.csv"
TEXTS = ("benchmark", "system", "leaks", "checked", "source")


def published(benchmark: str | None) -> list[dict[str, Any]]:
    """Return the published results on a benchmark, in the units of our metrics: shares 0..1, km.

    Rows that have not been checked against their paper are left out, and so are figures that were not published. leaks:
    yes, no, unknown, or what is shared.
    """
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == benchmark and row["checked"] == "yes"]
    return [_figures(row) for row in rows]


def comparable_results(dataset: str, photos: int) -> tuple[list[dict[str, Any]], str]:
    """Return the published results that compare with metrics of `photos` photos of a data set, or why there are none.

    A data set that is no benchmark, or a part of one, has none: metrics of different photos do not compare.
    """
    benchmark = BENCHMARKS.get(dataset)
    if benchmark is None:
        return [], f"{dataset} is not a public benchmark: nobody has published metrics of these photos"
    if photos != benchmark.photos:
        return (
            [],
            f"these are {photos:,} photos; published metrics are of all {benchmark.photos:,} of {benchmark.title}",
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
