"""Work in a process of its own, watched from outside."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil


def watched(work: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """Seconds of a call in a process of its own, and the peak memory of it and its workers (GB, shared pages once)."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    peak = [0.0]

    def watch() -> None:
        while process.is_alive():
            peak[0] = max(peak[0], _memory_gb(process.pid))
            time.sleep(0.2)

    started = time.perf_counter()
    process.start()
    watcher = threading.Thread(target=watch)
    watcher.start()
    process.join()
    seconds = time.perf_counter() - started
    watcher.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} failed")
    return seconds, peak[0]


def _memory_gb(pid: int) -> float:
    total = 0
    try:
        for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += one.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return total / 1e9
