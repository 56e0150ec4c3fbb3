"""`homing.training.pretrain` with pauses, so that a fault can meet it half-way. The pauses do not change the result."""

import os
import time

from homing.training import pretrain
from homing.training.worker import main


class SlowPretraining(pretrain.Pretraining):
    def after_step(self) -> None:
        super().after_step()
        time.sleep(float(os.environ.get("SECONDS_PER_STEP", "0")))


pretrain.Pretraining = SlowPretraining

if __name__ == "__main__":
    main(pretrain.prepare, pretrain.finish, "pretrain")
