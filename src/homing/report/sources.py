"""The data sources of a run with their licences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def sources_of(config: Mapping[str, Any], manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return name, licence, number of files and checksums of each data source and photo collection of a run."""
    rows: dict[str, dict[str, Any]] = {}
    for manifest in manifests:
        name = f"{manifest['dataset']} {manifest['version']}"
        entry = rows.setdefault(name, {"name": name, "licence": manifest["licence"], "files": 0, "sha256": []})
        entry["files"] += 1
        entry["sha256"].append(manifest["sha256"][:12])
    collections = {config["run_dataset"], *config["evaluate"]["benchmarks"], config["geocells"]["dataset"]} - {None}
    for name in sorted(collections):
        dataset = config["datasets"][name]
        if "table" in dataset:
            file = Path(dataset["table"]).name
            licence = dataset.get("licence") or "per photo, see its photos.parquet"
            rows[name] = {"name": f"{name} ({file})", "licence": licence, "files": 1, "sha256": []}
    return list(rows.values())
