"""Measure work in a process of its own."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

INTERVAL_SECONDS = 0.2  # between two looks at the memory


def run_measured(work: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """Call `work` in a new process; return its seconds and the peak memory of the process and its children, GB.

    Pages shared among them are counted once. Raises SystemExit if the process fails.
    """
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    peak_gb = 0.0

    def watch(started: psutil.Process) -> None:
        nonlocal peak_gb
        while process.is_alive():
            peak_gb = max(peak_gb, _memory_gb(started))
            time.sleep(INTERVAL_SECONDS)

    started = time.perf_counter()
    process.start()
    watcher = threading.Thread(target=watch, args=(psutil.Process(process.pid),))
    watcher.start()
    process.join()
    seconds = time.perf_counter() - started
    watcher.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} failed")
    return seconds, peak_gb


def _memory_gb(process: psutil.Process) -> float:
    """Proportional set size of a process and its children; 0 of those that have ended."""
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return total / 1e9
