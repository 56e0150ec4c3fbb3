"""All steps of an import in one process; the workflow runs each as a rule."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homing.importing.adapters import adapter_for
from homing.importing.candidates import list_candidates
from homing.importing.collect import collect_photos
from homing.importing.store import store_part


def import_photos(
    dataset: Mapping[str, Any],
    files: Sequence[str | Path],
    shards: Mapping[str, Any],
    outputs: Mapping[str, str],
    max_rejected_share: float,
    threads: int,
    parts: int = 1,
) -> None:
    """Import a collection into `outputs`: photos, rejected, index, ledger (tables) and shards (folder)."""
    home = Path(outputs["photos"]).parent
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".import-") as folder:
        work = Path(folder)
        files = [Path(file) for file in files]
        adapter = adapter_for(dataset, files)
        candidates, rejected = work / "candidates.parquet", work / "rejected.parquet"
        list_candidates(adapter, dataset, files, candidates, rejected)
        stored = [work / f"part-{number}" for number in range(parts if adapter.containers else 0)]
        for number, output in enumerate(stored):
            store_part(adapter, dataset, shards, candidates, (number, parts), output, work / "workspace", threads)
        collect_photos(candidates, rejected, stored, outputs, dataset.get("views", 1), max_rejected_share)
