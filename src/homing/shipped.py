"""The location of the files shipped with the library: beside it in a clone, inside it in an installed wheel."""

from pathlib import Path

_CLONE, _INSTALLED = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent / "shipped"
ROOT = _INSTALLED if _INSTALLED.is_dir() else _CLONE  # holds config/, resources/ and the workflow
