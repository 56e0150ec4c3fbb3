"""Fit the temperature of the classifier's softmax on the validation photos only."""

import pandas as pd

from homing import tables
from homing.confidence.calibration import calibrate
from homing.embeddings import read_embeddings
from homing.files import write_json
from homing.jobs.job import job, log
from homing.model.geolocator import load_geolocator

MAX_PHOTOS = 50_000  # enough to fit one number; of more photos, every second, third, ... is taken

with job(snakemake):
    files = snakemake.input
    splits = tables.read(files.splits, "splits")
    validation = set(splits.loc[splits["split"] == "val", "photo_id"])
    assigned = tables.read(files.assignments, "assignments").set_index("photo_id")["cell_id"]
    photo_ids, vectors = read_embeddings(files.vectors, files.photo_ids, validation.intersection(assigned.index))
    step = 1 + len(photo_ids) // MAX_PHOTOS
    photo_ids, vectors = photo_ids[::step], vectors[::step]
    geolocator = load_geolocator(files.model, heads_only=True)
    true = pd.Index(geolocator.cells["cell_id"]).get_indexer(assigned.loc[photo_ids])
    calibration = calibrate(geolocator.outputs(vectors)["cell"], true)
    write_json(snakemake.output.calibration, calibration)
    log.info("temperature %g, fitted on %d photos", calibration["temperature"], calibration["photos"])
