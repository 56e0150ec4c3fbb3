"""Refine the classifier's predictions of a photo set by prototypes."""

import numpy as np

from homing import tables
from homing.embeddings import read_embeddings
from homing.jobs import job
from homing.refine.index import RefineIndex
from homing.refine.search import refine
from homing.refine.table import from_table, to_table

with job(snakemake) as config:
    settings = config["refine"]
    photo_ids, candidates = from_table(tables.read(snakemake.input.predictions, "predictions"))
    kept = min(settings["top_cells"], candidates.cell_id.shape[1])
    candidates = candidates.take(np.tile(np.arange(kept), (len(photo_ids), 1)))
    ids, vectors = read_embeddings(snakemake.input.vectors, snakemake.input.photo_ids, photo_ids)
    rows = ids.reset_index().set_index("photo_id").loc[photo_ids, "index"].to_numpy()
    index = RefineIndex.load(snakemake.input.index)
    refined = refine(index, vectors[rows], candidates, settings["temperature"], settings["max_move_km"])
    tables.write(snakemake.output.predictions, to_table(photo_ids, refined), "predictions")
