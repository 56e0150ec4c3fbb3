"""The report of a run: one page that opens with the network off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import yaml

from homing.evaluate.distances import distances_km
from homing.photos.images import decode_image
from homing.photos.shards import ShardReader
from homing.report.charts import error_curves, loss_curves, speed_curves, validation_curve
from homing.report.geocells import Cells, drawn, section
from homing.report.maps import WORLD, Map, Outline
from homing.report.page import data_uri, environment
from homing.report.sources import sources_of

SHOWN = 12  # photos
PHOTO_SIDE = 300  # pixels
LINES = 400  # errors drawn as lines, at most
READOUTS = {
    "refined": "Refined (the answer)",
    "geocell": "Geocell classifier alone",
    "mode": "Mean of the candidates near the likeliest",
    "score": "Highest expected score among the candidates",
    "median": "Least expected distance",
    "hierarchy": "Levels of the hierarchy combined",
    "retrieval": "Most similar training photo behind a gate",
    "thumbnail": "Most similar 16 × 16 thumbnail",
    "constant": "Best constant guess",
}
TASKS = {
    "climate": "Climate (30 Köppen-Geiger classes)",
    "month": "Month",
    "temperature": "Temperature",
    "precipitation": "Precipitation",
    "elevation": "Elevation",
    "population": "Population density",
    "latitude": "Latitude",
    "longitude": "Longitude",
}


@dataclass(frozen=True)
class Inputs:
    """What the page is made of."""

    truth: pd.DataFrame  # test photos: photo_id, latitude, longitude, and their labels
    predictions: Mapping[str, pd.DataFrame]  # by readout
    cells: Cells
    reader: ShardReader
    summary: Mapping[str, Any]
    variants: Sequence[Mapping[str, Any]]  # summaries of the other runs
    metrics: Mapping[str, Mapping[str, Any]]  # by photo set
    provenance: Mapping[str, Any]
    histories: Mapping[str, Sequence[Mapping[str, Any]]]  # pretrain, finetune
    captions: Sequence[str]
    manifests: Sequence[Mapping[str, Any]]


def render_report(inputs: Inputs) -> str:
    """The HTML."""
    away = {name: distances_km(inputs.truth, table) for name, table in inputs.predictions.items() if len(table)}
    shapes = drawn(inputs.cells.table, WORLD)
    histories = {name: rows for name, rows in inputs.histories.items() if any("loss" in entry for entry in rows)}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=inputs.summary["run"],
            dataset=inputs.provenance["config"]["run_dataset"],
            summary=inputs.summary,
            test=inputs.metrics["test"],
            benchmarks={name: found for name, found in inputs.metrics.items() if name != "test"},
            readouts=READOUTS,
            tasks=TASKS,
            variants=[inputs.summary, *inputs.variants] if inputs.variants else [],
            folder="geocells/",
            cells=section(inputs.cells, shapes),
            errors_map=errors_map(shapes, inputs.truth, inputs.predictions["refined"], away["refined"]),
            error_chart=error_curves({name: away[name] for name in READOUTS if name in away}),
            losses={name: loss_curves(rows) for name, rows in histories.items()},
            speed=speed_curves(histories) if histories else None,
            validation=validation_curve(inputs.histories["finetune"], "val_median_km", "median error, km"),
            photos=sample_photos(inputs, away["refined"]),
            captions=inputs.captions[:8],
            sources=sources_of(inputs.provenance["config"], inputs.manifests),
            seconds=by_rule(inputs.summary, "seconds."),
            peaks=by_rule(inputs.summary, "peak_mb."),
            config=yaml.safe_dump(inputs.provenance["config"], sort_keys=False, allow_unicode=True, width=100),
            versions=inputs.provenance["versions"],
            commit=inputs.provenance["git_commit"],
        )
    )


def by_rule(summary: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """The entries of a summary whose names begin with the prefix."""
    return {name.removeprefix(prefix): value for name, value in summary.items() if name.startswith(prefix)}


def errors_map(shapes: list[Outline], truth: pd.DataFrame, predictions: pd.DataFrame, away: np.ndarray) -> str:
    """True places coloured by error, with lines to the answers."""
    world = Map()
    world.land(shapes)
    first = predictions[predictions["rank"] == 0].set_index("photo_id").reindex(truth["photo_id"])
    places = np.column_stack([truth[["latitude", "longitude"]], first[["latitude", "longitude"]]]).tolist()
    for place in places[:: max(1, len(places) // LINES)]:
        if not np.isnan(place).any():
            world.line((place[0], place[1]), (place[2], place[3]), "error")
    kinds = np.select([away <= 200, away <= 750, away <= 2500], ["near", "fair", "far"], "lost")
    for place, kind, distance in zip(places, kinds, away, strict=True):
        world.point(place[0], place[1], 3, str(kind), f"{distance:,.0f} km")
    return world.svg("World map of the held-out photos, with lines to the answers")


def sample_photos(inputs: Inputs, away: np.ndarray) -> list[dict[str, Any]]:
    """Photos from the best answer to the worst, evenly spread, with their true and predicted places."""
    shown = [row for row in np.argsort(away, kind="stable") if inputs.truth["photo_id"].iloc[row] in inputs.reader]
    chosen = [shown[at] for at in np.linspace(0, len(shown) - 1, min(SHOWN, len(shown))).astype(int)] if shown else []
    first = inputs.predictions["refined"].query("rank == 0").set_index("photo_id")
    names = inputs.cells.table.set_index("cell_id")
    photos = []
    for row in chosen:
        photo = inputs.truth.iloc[row]
        answer = first.loc[photo["photo_id"]]
        cell = names.loc[answer["cell_id"]]
        photos.append(
            {
                "image": data_uri(decode_image(inputs.reader.read(photo["photo_id"])), PHOTO_SIDE),
                "true": place(photo["region"], photo["country_name"]),
                "guess": place(cell["region"], cell["country_name"]),
                "probability": float(answer["probability"]),
                "km": float(away[row]),
            }
        )
    return photos


def place(region: Any, country: Any) -> str:
    """Region and country, as far as they are known."""
    parts = [part for part in (region, country) if isinstance(part, str)]
    return ", ".join(dict.fromkeys(parts)) or "at sea"
