"""Fit the parameters of refinement that the configuration leaves null, on the validation photos only."""

from homing import tables
from homing.embeddings import read_in_order
from homing.files import write_json
from homing.jobs.job import job
from homing.photos.splits import in_set
from homing.refine.fit import fit
from homing.refine.index import RefineIndex
from homing.refine.readout import nodes_above
from homing.refine.retrieve import InvertedLists, author_numbers, nearest_photos
from homing.refine.table import from_table

with job(snakemake) as config:
    files, settings = snakemake.input, config["refine"]
    validation = in_set(tables.read(files.splits, "splits"), "val")
    predictions = tables.read(files.classifier, "predictions")
    photo_ids, candidates = from_table(predictions[predictions["photo_id"].isin(validation)])
    vectors = read_in_order(files.vectors, files.photo_ids, photo_ids)
    photos = tables.read(files.photos, "photos", ["photo_id", "latitude", "longitude", "author"]).set_index("photo_id")
    index, lists = RefineIndex.load(files.index), InvertedLists.load(files.index)
    authors = author_numbers(photos["author"].loc[photo_ids], photos["author"].loc[index.members["photo_id"]])
    neighbours = nearest_photos(index, vectors, lists, authors if settings["exclude_author"] else None)
    truth = photos.loc[photo_ids, ["latitude", "longitude"]].to_numpy()
    coarser = nodes_above(tables.read(files.hierarchy, "hierarchy"))
    best = candidates.best(settings["top_cells"])
    fitted = fit(settings, index, vectors, best, truth, neighbours, coarser, authors[0])
    write_json(snakemake.output.fitted, fitted)
