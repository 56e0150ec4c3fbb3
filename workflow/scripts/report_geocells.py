"""Write the page of a run's geocells, and the cells as a GeoPackage."""

import geopandas as gpd

from homing import tables
from homing.files import atomic_path, read_json
from homing.geocells.export import write_geopackage
from homing.geocells.quality import per_cell
from homing.jobs.job import job
from homing.report.geocells import Cells, render_geocells

with job(snakemake) as config:
    files = snakemake.input
    cells = gpd.read_parquet(files.geocells)
    photos = tables.read(files.photos, "photos", columns=["photo_id", "latitude", "longitude"])
    photos = photos.merge(tables.read(files.assignments, "assignments"), on="photo_id", validate="1:1")
    oracle_km = per_cell(cells, photos)

    with atomic_path(snakemake.output.geopackage) as partial:
        write_geopackage(partial, cells, oracle_km)
    found = Cells(cells, oracle_km, read_json(files.quality), read_json(files.comparison)["partitions"])
    page = render_geocells(snakemake.wildcards.run, config["run_dataset"], found)
    with atomic_path(snakemake.output.report) as partial:
        partial.write_text(page, encoding="utf-8")
