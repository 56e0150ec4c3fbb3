"""Read one place out of the refined candidates of each photo, by each rule that the configuration names."""

from homing import tables
from homing.embeddings import read_in_order
from homing.files import read_json
from homing.jobs.job import job
from homing.refine.fit import gated
from homing.refine.index import RefineIndex
from homing.refine.readout import best_score, hierarchical, median_point, mode_mean, nodes_above
from homing.refine.retrieve import Lists, author_numbers, nearest_photos
from homing.refine.search import Candidates
from homing.refine.table import from_table, to_table

with job(snakemake) as config:
    files, settings, fitted = snakemake.input, config["refine"], read_json(snakemake.input.fitted)
    photo_ids, candidates = from_table(tables.read(files.refined, "predictions"))

    def retrieved() -> Candidates:
        query, own = (
            tables.read(path, "photos", columns=["photo_id", "author"]).set_index("photo_id")["author"]
            for path in (files.query_photos, files.photos)
        )
        index = RefineIndex.load(files.index)
        authors = author_numbers(query.loc[photo_ids], own.loc[index.members["photo_id"]])
        vectors = read_in_order(files.vectors, files.photo_ids, photo_ids)
        lists = Lists.load(files.index)
        neighbours = nearest_photos(index, vectors, lists, authors if settings["exclude_author"] else None)
        return gated(candidates, neighbours, index, fitted["gate_similarity"])

    def of_levels() -> Candidates:
        return hierarchical(
            candidates, nodes_above(tables.read(files.hierarchy, "hierarchy")), fitted["hierarchy_weight"]
        )

    rules = {
        "mode": lambda: mode_mean(candidates, fitted["mode_radius_km"]),
        "score": lambda: best_score(candidates, settings["score_radius_km"]),
        "median": lambda: median_point(candidates),
        "hierarchy": of_levels,
        "retrieval": retrieved,
    }
    for name, rule in rules.items():
        table = to_table(photo_ids, rule()) if name in settings["readout"] else to_table([], candidates.best(0))
        tables.write(snakemake.output[name], table, "predictions")
