"""Throughput, time spent waiting for data and peak memory of a training."""

import resource
import time

import torch


class Meter:
    """Measures since its creation or the last `read`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._restart()

    def step(self, photos: int, waited_seconds: float) -> None:
        """Count a step of `photos` photos (all processes) and the mean seconds that processes waited for data."""
        self.photos += photos
        self.waited_seconds += waited_seconds

    def read(self) -> dict[str, float]:
        """Return photos per second of all processes, the share of time spent waiting and the peak memory in MB."""
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
    """Return the peak memory of this process: of the GPU, or of the machine if there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # in kB on Linux
