"""Score every readout of a run on a photo set."""

from functools import partial

import pyarrow.parquet as pq

from homing import tables
from homing.evaluate.photo_set import PhotoSet, read_labelled, score_photo_set
from homing.evaluate.stages import prototypes_in_cells
from homing.files import write_json
from homing.jobs.job import job
from homing.labels.areas import load_grid
from homing.labels.names import name_places
from homing.readouts import NAMES

with job(snakemake) as config:
    files, name = snakemake.input, snakemake.wildcards.photo_set
    splits = tables.read(files.splits, "splits")
    photos = PhotoSet(
        name=name,
        truth=read_labelled(files.photos, files.labels, splits, name),
        training=read_labelled(files.train_photos, files.train_labels, splits, "train"),
        readouts={readout: tables.read(files[readout], "predictions") for readout in NAMES},
        tasks=tables.read(files.tasks, "tasks"),
        cells=pq.read_table(files.geocells, columns=["cell_id", "latitude", "longitude", "area_km2"]).to_pandas(),
        assignments=tables.read(files.assignments, "assignments"),
        prototypes=prototypes_in_cells(files.index),
        leaks=tables.read(files.leaks, "leaks") if files.get("leaks") else None,
        leak_reasons=config["decontaminate"]["by"] if files.get("leaks") else (),
    )
    areas = pq.read_table(files.areas, columns=["country", "region_id"]).to_pandas()
    locate = partial(name_places, load_grid(files.grid), areas, config["labels"]["boundaries"]["nearest_km"])
    metrics = score_photo_set(photos, locate, config["evaluate"]["radii_km"], config["seed"])
    write_json(snakemake.output.metrics, metrics)
