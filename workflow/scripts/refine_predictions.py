"""Refine the classifier's predictions of a photo set by prototypes."""

from homing import tables
from homing.embeddings import read_in_order
from homing.files import read_json
from homing.jobs.job import job
from homing.refine.index import RefineIndex
from homing.refine.search import refine
from homing.refine.table import from_table, to_table

with job(snakemake) as config:
    files, settings = snakemake.input, config["refine"]
    photo_ids, candidates = from_table(tables.read(files.classifier, "predictions"))
    vectors = read_in_order(files.vectors, files.photo_ids, photo_ids)
    index, fitted = RefineIndex.load(files.index), read_json(files.fitted)
    best = candidates.best(settings["top_cells"])
    refined = refine(index, vectors, best, fitted["temperature"], fitted["max_move_km"])
    tables.write(snakemake.output.refined, to_table(photo_ids, refined), "predictions")
