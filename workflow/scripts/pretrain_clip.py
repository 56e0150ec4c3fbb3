"""Pretrain CLIP on the captions, launched by Accelerate; or hand the encoder over as it is."""

from homing.files import atomic_path
from homing.jobs import job
from homing.model.clip import build_clip, save_clip
from homing.training.stage import run_stage
from homing.training.start import write_history

with job(snakemake) as config:
    if config["pretrain"]["enabled"]:
        run_stage("homing.training.pretrain", snakemake)
    else:
        with atomic_path(snakemake.output.model) as folder:
            save_clip(folder, build_clip(config["model"], ["A photo."], config["seed"]))
        write_history(snakemake.output.history, [])
