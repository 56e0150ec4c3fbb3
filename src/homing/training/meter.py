"""How fast a training runs, how long it waits for data, and the memory it takes."""

import resource
import time

import torch


class Meter:
    """Counts steps from its making or its last reading on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._restart()

    def step(self, photos: int, waited_seconds: float) -> None:
        """A step of the global batch is done; the processes waited for data so long, on average."""
        self.photos += photos
        self.waited_seconds += waited_seconds

    def read(self) -> dict[str, float]:
        """Photos per second of all processes, the share of time spent waiting, and the peak of memory in MB."""
        elapsed = max(1e-9, time.monotonic() - self.started)
        figures = {
            "photos_per_second": self.photos / elapsed,
            "waiting_share": min(1.0, self.waited_seconds / elapsed),
            "memory_mb": peak_memory_mb(self.device),
        }
        self._restart()
        return figures

    def _restart(self) -> None:
        self.started, self.photos, self.waited_seconds = time.monotonic(), 0, 0.0


def peak_memory_mb(device: torch.device) -> float:
    """The most this process has used: of the GPU's memory, or of the machine's where there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # in kB on Linux
