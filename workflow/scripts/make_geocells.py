"""Make the geocells of a run, and find the cell of each of its photos."""

import geopandas as gpd

from homing import tables
from homing.files import atomic_path, write_json
from homing.geocells.assign import assign
from homing.geocells.hierarchy import hierarchy
from homing.geocells.partition import LATTICES, make_geocells
from homing.geocells.quality import measure
from homing.geocells.shaping import shaping_and_run_photos
from homing.jobs.job import job

with job(snakemake) as config:
    settings = config["geocells"]
    areas = gpd.read_parquet(snakemake.input.areas)
    points, run_photos = shaping_and_run_photos(dict(snakemake.input.items()))

    made = make_geocells(areas, points, settings, workers=snakemake.threads)
    run_photos["cell_id"] = assign(made.cells, made.shaping, run_photos, settings["method"] not in LATTICES)

    with atomic_path(snakemake.output.geocells) as partial:
        made.cells.to_parquet(partial)
    tables.write(snakemake.output.hierarchy, hierarchy(made.cells, settings), "hierarchy")
    tables.write(snakemake.output.assignments, run_photos[["photo_id", "cell_id"]], "assignments")
    quality = measure(areas, made.cells, made.exceptions, run_photos, made.shaping, settings)
    write_json(snakemake.output.quality, quality)
