"""Divide a run's photos into train, val and test."""

import logging

from homing import tables
from homing.jobs.job import job
from homing.photos.leaks import without_leaks
from homing.photos.splits import assign_splits

with job(snakemake) as config:
    columns = ["photo_id", "latitude", "longitude", "author", "split"]
    photos = tables.read(snakemake.input.photos, "photos", columns=columns)
    splits = assign_splits(photos, config["splits"], config["seed"])
    if leaks := snakemake.input.get("leaks"):
        splits = without_leaks(splits, tables.read(leaks, "leaks"))
    tables.write(snakemake.output.splits, splits, "splits")
    logging.getLogger("homing").info("%s", splits["split"].value_counts().to_dict())
