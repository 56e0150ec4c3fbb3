"""Put a run's partition beside others."""

from homing.files import read_json, write_json
from homing.geocells.compare import compare
from homing.jobs import job

with job(snakemake):
    write_json(snakemake.output.comparison, {"partitions": compare({"semantic": read_json(snakemake.input.quality)})})
