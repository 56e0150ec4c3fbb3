"""The headline figures of a run, and what it was made with."""

from pathlib import Path

from homing.config import configuration
from homing.evaluate.summary import durations, summarise
from homing.files import read_json, write_json
from homing.jobs.job import job
from homing.jobs.provenance import provenance

with job(snakemake) as config:
    run = snakemake.wildcards.run
    metrics = {Path(path).stem: read_json(path) for path in snakemake.input.metrics}
    used = [*configuration.used_datasets(config), *configuration.used_sources(config)]
    summary = summarise(run, metrics.pop("test"), metrics)
    write_json(snakemake.output.summary, summary | durations(snakemake.params.benchmarks, run, used))
    write_json(snakemake.output.provenance, provenance(config, Path.cwd()))
