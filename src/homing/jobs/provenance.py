"""Provenance of a run: configuration, package versions, commit."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "homing", "snakemake", "snakemake-executor-plugin-slurm", "torch", "transformers", "accelerate", "geopandas",
    "shapely", "pyogrio", "rasterio", "dask", "distributed", "pandas", "numpy", "pyarrow", "scikit-learn", "pillow",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter, if installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit(folder: str | Path) -> str | None:
    """Return the commit of the code, with "-dirty" if files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def provenance(config: dict[str, Any], folder: str | Path) -> dict[str, Any]:
    """Return the content of provenance.json: resolved configuration, versions, commit."""
    return {"config": config, "versions": versions(), "git_commit": git_commit(folder)}
