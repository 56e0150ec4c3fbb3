"""Divide a run's photos into train, val and test."""

import logging

from homing import tables
from homing.jobs import job
from homing.photos.splits import assign_splits

with job(snakemake) as config:
    splits = assign_splits(tables.read(snakemake.input.photos, "photos"), config["splits"], config["seed"])
    tables.write(snakemake.output.splits, splits, "splits")
    logging.getLogger("homing").info("%s", splits["split"].value_counts().to_dict())
