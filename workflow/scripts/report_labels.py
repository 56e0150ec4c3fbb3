"""Write the page of a data set's labels."""

from homing.files import atomic_path
from homing.jobs.job import job
from homing.report.labels import LabelFiles, render_labels

with job(snakemake):
    names = ("photos", "labels", "areas", "grid", "agreement", "driving_side")
    files = LabelFiles(**{name: str(snakemake.input[name]) for name in names})
    with atomic_path(snakemake.output.report) as partial:
        partial.write_text(render_labels(snakemake.wildcards.dataset, files), encoding="utf-8")
