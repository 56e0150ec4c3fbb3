"""Pretrain CLIP on the captions, launched by Accelerate; or hand the encoder over as it is."""

from homing.jobs.job import job
from homing.training.launch.job import run_stage

with job(snakemake) as config:
    if config["pretrain"]["enabled"]:
        run_stage("homing.training.pretrain", snakemake)
    else:
        from homing.files import atomic_path
        from homing.model.clip import save_untrained
        from homing.training.worker import write_history

        with atomic_path(snakemake.output.model) as folder:
            save_untrained(folder, config["model"], config["seed"])
        write_history(snakemake.output.history, [])
