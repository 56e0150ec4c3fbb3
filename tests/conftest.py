"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

from homing.jobs.workers import let_threads_sleep

let_threads_sleep()  # before torch is loaded: two tests at a time share the cores

ROOT = Path(__file__).resolve().parents[1]
LONGEST = (
    "test_slurm.py", "test_demo.py", "test_sample.py", "test_reruns.py", "test_faults.py", "test_labels.py",
    "test_finetuning.py", "test_parallel.py", "test_compiled.py", "test_module.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first and the many short ones last, so that workers side by side end together.

    The test cluster is up while the demo trains: it waits much.
    """
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (order.get(item.path.name, len(order)), "unit" in item.path.parts))


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real sample data (see config/sample.yaml); without it the test is skipped, in CI it fails."""
    folder = Path(os.environ.get("HOMING_SAMPLE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.csv").exists():
        message = f"no sample data at {folder}: set HOMING_SAMPLE_DATA (docs/sample_data.md says where to get it)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return folder
