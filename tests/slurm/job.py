"""A batch job that launches a training: python job.py SPEC NODES"""

import os
import sys

from homing.errors import HomingError
from homing.files import read_json
from homing.jobs.job import start_log
from homing.training.launch.accelerate import Sizes, launch

if __name__ == "__main__":
    start_log()
    name = f"{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_RESTART_COUNT', '0')}"
    spec = read_json(sys.argv[1]) | {"launch": name}
    try:
        launch("slow_pretrain", spec, Sizes(nodes=int(sys.argv[2]), processes=1, gpus=0, cores=1))
    except HomingError as error:
        sys.exit(str(error))
