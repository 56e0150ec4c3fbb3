"""Compute the further readouts that the configuration names: one place from the refined candidates of each photo."""

from homing import tables
from homing.embeddings import read_in_order
from homing.files import read_json
from homing.jobs.job import job
from homing.refine.index import RefineIndex
from homing.refine.readout import further_readouts, nodes_above
from homing.refine.retrieve import InvertedLists, author_numbers, gated, nearest_photos
from homing.refine.search import Candidates
from homing.refine.table import from_table, to_table

with job(snakemake) as config:
    files, settings = snakemake.input, config["refine"]
    photo_ids, refined = from_table(tables.read(files.refined, "predictions"))
    parameters = read_json(files.fitted) | {"score_radius_km": settings.get("score_radius_km")}

    def retrieve(candidates: Candidates) -> Candidates:
        index, lists, authors = RefineIndex.load(files.index), InvertedLists.load(files.index), None
        if settings["exclude_author"]:
            asked, known = (
                tables.read(path, "photos", ["photo_id", "author"]).set_index("photo_id")["author"]
                for path in (files.query_photos, files.photos)
            )
            authors = author_numbers(asked.loc[photo_ids], known.loc[index.members["photo_id"]])
        vectors = read_in_order(files.vectors, files.photo_ids, photo_ids)
        neighbours = nearest_photos(index, vectors, lists, authors)
        return gated(candidates, neighbours, index, parameters["gate_similarity"])

    readouts = further_readouts(
        refined, parameters, lambda: nodes_above(tables.read(files.hierarchy, "hierarchy")), retrieve
    )
    for name, compute in readouts.items():
        table = to_table(photo_ids, compute()) if name in settings["readout"] else to_table([], refined.best(0))
        tables.write(snakemake.output[name], table, "predictions")
