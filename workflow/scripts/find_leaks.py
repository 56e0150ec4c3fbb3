"""Find the photos of a run that are in its benchmarks too."""

from homing import tables
from homing.files import write_json
from homing.jobs.job import job
from homing.photos.leaks import find_leaks, summary

with job(snakemake) as config:
    own, *others = zip(snakemake.input.photos, snakemake.input.index, strict=True)
    leaks = find_leaks(own, dict(zip(config["evaluate"]["benchmarks"], others, strict=True)), config["decontaminate"])
    tables.write(snakemake.output.leaks, leaks, "leaks")
    write_json(snakemake.output.counts, summary(leaks))
