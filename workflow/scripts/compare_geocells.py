"""Put a run's partition beside others of about as many cells, made from the same photos."""

import geopandas as gpd

from homing.files import read_json, write_json
from homing.geocells.compare import at_equal_count, compare
from homing.geocells.shaping import shaping_and_run_photos
from homing.jobs.job import job

with job(snakemake) as config:
    settings = config["geocells"]
    own = read_json(snakemake.input.quality)
    partitions = {settings["method"]: own}
    others = [method for method in config["compare_geocells"] if method not in partitions]
    if others:
        areas = gpd.read_parquet(snakemake.input.areas)
        points, photos = shaping_and_run_photos(dict(snakemake.input.items()))
        for method in others:
            threads = snakemake.threads
            partitions[method] = at_equal_count(method, own["cells"], areas, points, photos, settings, threads)
    write_json(snakemake.output.comparison, {"partitions": compare(partitions)})
