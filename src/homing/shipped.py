"""Where this project's own files are: beside the library in a clone, inside it where a wheel was installed."""

from pathlib import Path

_CLONE, _INSTALLED = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent / "shipped"
# The folder with config/, resources/ and the workflow.
ROOT = _INSTALLED if _INSTALLED.is_dir() else _CLONE
