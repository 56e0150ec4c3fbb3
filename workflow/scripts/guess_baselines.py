"""Guess a photo set without a model: at the best constant place, and at the place of the most similar thumbnail."""

from homing import tables
from homing.evaluate.baselines import constant_guess, guess_by_thumbnail, predictions_of
from homing.jobs.job import job, log
from homing.photos.images import decode_image
from homing.photos.shards import ShardReader
from homing.photos.splits import rows_in_set

PLACE = ["photo_id", "latitude", "longitude"]

with job(snakemake) as config:
    files, splits = snakemake.input, tables.read(snakemake.input.splits, "splits")
    training = rows_in_set(tables.read(files.photos, "photos", PLACE), splits, "train")
    queries = rows_in_set(tables.read(files.query_photos, "photos", PLACE), splits, snakemake.wildcards.photo_set)
    place = constant_guess(training["latitude"].to_numpy(), training["longitude"].to_numpy(), config["seed"])
    log.info("the best constant guess is %.2f, %.2f", *place)
    tables.write(snakemake.output.constant, predictions_of(queries["photo_id"], *place), "predictions")

    guesses = predictions_of([], 0.0, 0.0)
    if config["evaluate"]["thumbnails"]:
        images, known = ShardReader(files.query_shards, files.query_index), ShardReader(files.shards, files.index)
        guesses = guess_by_thumbnail(queries["photo_id"], images, training, known, decode_image)
    tables.write(snakemake.output.thumbnail, guesses, "predictions")
