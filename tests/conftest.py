"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

from homing.workers import let_threads_sleep

let_threads_sleep()  # before torch is loaded: two tests at a time share the cores

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real sample data (see config/sample.yaml); without it the test is skipped, in CI it fails."""
    folder = Path(os.environ.get("HOMING_SAMPLE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.csv").exists():
        message = f"no sample data at {folder}: set HOMING_SAMPLE_DATA (docs/sample_data.md says where to get it)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return folder
