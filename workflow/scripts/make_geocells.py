"""Make the geocells of a run, and find the cell of each of its photos."""

import geopandas as gpd

from homing import tables
from homing.files import atomic_path, write_json
from homing.geocells.assign import assign
from homing.geocells.partition import make_geocells
from homing.geocells.points import located, shaping_points
from homing.geocells.quality import measure
from homing.jobs import job

with job(snakemake) as config:
    settings = config["geocells"]
    areas = gpd.read_parquet(snakemake.input.areas)
    splits = tables.read(snakemake.input.splits, "splits")
    run_photos = located(snakemake.input.run_photos, snakemake.input.run_labels).merge(splits, on="photo_id")
    candidates = located(snakemake.input.photos, snakemake.input.labels)
    points = shaping_points(candidates, run_photos, own=snakemake.input.photos == snakemake.input.run_photos)

    cells, shaping, exceptions = make_geocells(areas, points, settings, workers=snakemake.threads)
    run_photos["cell_id"] = assign(cells, shaping, run_photos)

    with atomic_path(snakemake.output.geocells) as partial:
        cells.to_parquet(partial)
    tables.write(snakemake.output.assignments, run_photos[["photo_id", "cell_id"]], "assignments")
    write_json(snakemake.output.quality, measure(areas, cells, exceptions, run_photos, shaping, settings))
