"""Generate the toy planet."""

from pathlib import Path

from homing.files import sha256
from homing.jobs.job import job, log
from homing.toyplanet.layers import write_boundaries, write_driving_sides, write_rasters
from homing.toyplanet.photos import write_photos
from homing.toyplanet.world import World

with job(snakemake) as config:
    settings, sums = config["toyplanet"], Path(snakemake.output.sums)
    folder = sums.parent
    world = World(settings["seed"], settings["countries"])
    for part in ("boundaries", "rasters", "photos"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_boundaries(world, folder / "boundaries/gadm_410-levels.zip")
    log.info("%d countries, %d areas", world.countries, len(world.areas))
    write_rasters(world, folder / "rasters", settings["raster_degrees"])
    write_driving_sides(world, folder / "driving_side.csv")
    write_photos(world, folder / "photos", settings["photos"], settings["image_side"])
    log.info("%d photos", settings["photos"])
    lines = [f"{sha256(path)}  {path.relative_to(folder)}" for path in map(Path, sorted(snakemake.output.files))]
    sums.write_text("\n".join(lines) + "\n", encoding="utf-8")
