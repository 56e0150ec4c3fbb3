"""Cluster the training photos of a run into prototypes, and many photos into lists for retrieval."""

from homing import tables
from homing.embeddings import read_embeddings
from homing.files import atomic_path
from homing.jobs.job import job
from homing.photos.splits import in_set
from homing.refine.index import build_index
from homing.refine.retrieve import EXACT_PHOTOS, build_lists

with job(snakemake) as config:
    wanted = in_set(tables.read(snakemake.input.splits, "splits"), "train")
    photo_ids, vectors = read_embeddings(snakemake.input.vectors, snakemake.input.photo_ids, wanted)
    photos = tables.read(snakemake.input.photos, "photos", columns=["photo_id", "latitude", "longitude"])
    photos = photos.merge(tables.read(snakemake.input.assignments, "assignments"), on="photo_id", validate="1:1")
    photos = photos.set_index("photo_id").loc[photo_ids].reset_index()
    with atomic_path(snakemake.output.index) as partial:
        index = build_index(photos, vectors, config["refine"]["optics"])
        index.save(partial)
        if len(photos) > EXACT_PHOTOS:
            build_lists(index.member_vectors, config["seed"]).save(partial)
