"""Predict geocells and the eight tasks for a photo set, from its embeddings."""

import pandas as pd

from homing import tables
from homing.embeddings import read_embeddings
from homing.files import read_json
from homing.jobs.job import job, log
from homing.model.geolocator import load_geolocator
from homing.photos.splits import in_set
from homing.refine.table import best_cells, to_table

MIN_CELLS = 50  # cells kept per photo, enough for regions that hold 90 %; refinement uses fewer

with job(snakemake) as config:
    wanted = in_set(tables.read(snakemake.input.splits, "splits"), snakemake.wildcards.photo_set)
    photo_ids, vectors = read_embeddings(snakemake.input.vectors, snakemake.input.photo_ids, wanted)
    geolocator = load_geolocator(snakemake.input.model, heads_only=True)
    outputs = geolocator.predict_vectors(vectors, read_json(snakemake.input.calibration)["temperature"])
    count = max(MIN_CELLS, config["refine"]["top_cells"])
    best = best_cells(outputs.pop("cell_probability"), geolocator.cells, count)
    tables.write(snakemake.output.classifier, to_table(photo_ids, best), "predictions")
    tables.write(snakemake.output.tasks, pd.DataFrame({"photo_id": photo_ids} | outputs), "tasks")
    log.info("%d photos", len(photo_ids))
