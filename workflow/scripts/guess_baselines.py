"""Guess a photo set without a model: the best constant, and the most similar thumbnail."""

import pandas as pd

from homing import tables
from homing.evaluate.baselines import answers, constant_guess, nearest_rows, thumbnails
from homing.jobs.job import job, log
from homing.photos.images import decode_image
from homing.photos.shards import ShardReader
from homing.photos.splits import in_set

COLUMNS = ["photo_id", "latitude", "longitude"]

with job(snakemake) as config:
    files = snakemake.input
    splits = tables.read(files.splits, "splits")
    train, queries = (tables.read(path, "photos", columns=COLUMNS) for path in (files.photos, files.query_photos))
    train = train[train["photo_id"].isin(in_set(splits, "train"))].reset_index(drop=True)
    wanted = in_set(splits, snakemake.wildcards.photo_set)
    queries = queries if wanted is None else queries[queries["photo_id"].isin(wanted)].reset_index(drop=True)

    place = constant_guess(train["latitude"].to_numpy(), train["longitude"].to_numpy(), config["seed"])
    log.info("the best constant guess is %.2f, %.2f", *place)
    tables.write(snakemake.output.constant, answers(queries["photo_id"], *place), "predictions")

    guessed = pd.DataFrame({"photo_id": [], "rank": [], "latitude": [], "longitude": []})
    if config["evaluate"]["thumbnails"]:
        reader, query_reader = (
            ShardReader(files.shards, files.index),
            ShardReader(files.query_shards, files.query_index),
        )
        train = train[[name in reader for name in train["photo_id"]]]
        ids = [name for name in queries["photo_id"] if name in query_reader]
        own = thumbnails(train["photo_id"].tolist(), lambda name: decode_image(reader.read(name)))
        rows = nearest_rows(thumbnails(ids, lambda name: decode_image(query_reader.read(name))), own)
        guessed = answers(ids, train["latitude"].to_numpy()[rows], train["longitude"].to_numpy()[rows])
    tables.write(snakemake.output.thumbnail, guessed, "predictions")
