"""Write the clues that captions are sampled from, and a preview of sampled captions."""

from pathlib import Path

import numpy as np

from homing import tables
from homing.captions.clues import write_clues
from homing.captions.sampling import sample_captions
from homing.files import atomic_path
from homing.jobs.job import job

PREVIEWED = 40

with job(snakemake) as config:
    clues = write_clues(tables.read(snakemake.input.photos, "photos"), tables.read(snakemake.input.labels, "labels"))
    tables.write(snakemake.output.captions, clues, "captions")
    rows = np.linspace(0, len(clues) - 1, min(PREVIEWED, len(clues))).astype(int)
    captions = sample_captions(clues, rows, config["captions"], config["seed"], epoch=0)
    with atomic_path(snakemake.output.preview) as partial:
        Path(partial).write_text("\n".join(captions) + "\n", encoding="utf-8")
