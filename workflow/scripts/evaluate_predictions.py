"""Score every prediction file of a photo set."""

from functools import partial

import pyarrow.parquet as pq

from homing import tables
from homing.errors import HomingError
from homing.evaluate.countries import name_first_answers
from homing.evaluate.geocells import score_geocells
from homing.evaluate.leaks import describe_leaks
from homing.evaluate.measures import score, score_some
from homing.evaluate.stages import describe_stages, photos_in_cells, prototypes_in_cells
from homing.evaluate.tasks import score_tasks
from homing.files import write_json
from homing.jobs.job import job
from homing.labels.areas import load_grid
from homing.labels.names import name_places
from homing.photos.splits import in_set
from homing.readouts import ANSWER, CLASSIFIER, NAMES

CELLS = ["cell_id", "latitude", "longitude", "area_km2"]
COLUMNS = ["photo_id", "latitude", "longitude", "author"]

with job(snakemake) as config:
    files, settings = snakemake.input, config["evaluate"]
    photo_set = snakemake.wildcards.photo_set
    splits = tables.read(files.splits, "splits")

    def labelled(photos: str, labels: str, wanted: set[str] | None):
        frame = tables.read(photos, "photos", columns=COLUMNS)
        frame = frame if wanted is None else frame[frame["photo_id"].isin(wanted)].reset_index(drop=True)
        return frame.merge(tables.read(labels, "labels"), on="photo_id", how="left", validate="1:1")

    truth = labelled(files.photos, files.labels, in_set(splits, photo_set))
    if truth.empty:
        raise HomingError(f"the photo set {photo_set!r} is empty: nothing to score")
    training = labelled(files.train_photos, files.train_labels, in_set(splits, "train"))
    readouts = {name: tables.read(files[name], "predictions") for name in NAMES}
    readouts = {name: table for name, table in readouts.items() if len(table)}
    cells = pq.read_table(files.geocells, columns=CELLS).to_pandas()
    areas = pq.read_table(files.areas, columns=["country", "region_id"]).to_pandas()
    answers = name_first_answers(
        readouts, partial(name_places, load_grid(files.grid), areas, config["labels"]["boundaries"]["nearest_km"])
    )
    assignments = tables.read(files.assignments, "assignments")
    refined = int(readouts[ANSWER]["rank"].max()) + 1
    points = {"prototype": prototypes_in_cells(files.index), "photo": photos_in_cells(training, assignments)}
    metrics = {
        "n": len(truth),
        "readouts": score(truth, answers, settings["radii_km"], config["seed"]),
        "geocell": {"cells": len(cells)} | score_geocells(readouts[CLASSIFIER], assignments, len(cells)),
        **describe_stages(
            truth, readouts[CLASSIFIER], cells, assignments, points, refined, settings["radii_km"], config["seed"]
        ),
        "tasks": score_tasks(truth, tables.read(files.tasks, "tasks"), training),
    }
    if path := files.get("leaks"):
        leaks = tables.read(path, "leaks")
        metrics["leaks"] = describe_leaks(
            leaks[leaks["benchmark"] == photo_set],
            truth["photo_id"],
            partial(score_some, truth, answers, settings["radii_km"]),
            config["decontaminate"]["by"],
        )
    write_json(snakemake.output.metrics, metrics)
