"""The one definition of "the same input": files by content, the outputs of a job by its manifest.

A manifest lists the outputs of a job with bytes and SHA-256. It is small, so Snakemake itself compares its content. A
rule takes the outputs of another as `ancient` inputs, whose dates Snakemake ignores, beside the manifest. A large file
is hashed once, by the job that wrote it. `homing.jobs.code` does the same for code and the tables it reads.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from homing.files import read_json, sha256, write_json

SUMS = "SHA256SUMS"  # in a folder: its files' sums, as `sha256sum` writes and checks them


def of_file(path: str | Path) -> str:
    """Return the hex SHA-256 of a file's content, or a digest of a folder's names and contents.

    A file that a manifest lists with the same size is not read again. Raises FileNotFoundError.
    """
    path = Path(path)
    entry = _listed(path)
    if entry and entry["bytes"] == size_of(path):
        return entry["sha256"]
    return content_of(path)


def content_of(path: str | Path) -> str:
    """Return the same without manifests. A folder that holds SHA256SUMS is described by that file."""
    path = Path(path)
    if not path.is_dir():
        return sha256(path)
    if (path / SUMS).is_file():
        return sha256(path / SUMS)
    return of_values([[str(file.relative_to(path)), sha256(file)] for file in _files(path)])


def of_listing(path: str | Path) -> str:
    """Return a digest of the names and sizes of a folder's files, or of a file: users' images are not read."""
    path = Path(path)
    return of_values([[os.path.relpath(file, path), file.stat().st_size] for file in _files(path)])


def of_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the SHA-256 of a job's inputs by name, as lists.

    inputs: name -> path or list of paths, as in `snakemake.input`.
    """
    described: dict[str, Any] = {}
    for name, value in inputs.items():
        paths = [value] if isinstance(value, str | Path) else list(value)
        described[name] = [of_file(path) for path in paths]
    return described


def of_values(values: Any) -> str:
    """Return a hex digest of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_manifest(manifest: str | Path, outputs: Iterable[str | Path]) -> None:
    """Write bytes and SHA-256 of a job's outputs; names are relative to the folder above `manifests/`."""
    home = Path(manifest).parent.parent
    entries = [
        {"file": os.path.relpath(path, home), "bytes": size_of(Path(path)), "sha256": content_of(path)}
        for path in outputs
    ]
    write_json(manifest, entries)


def write_sums(folder: Path, sums: Mapping[str, str] | None = None) -> None:
    """Write SHA256SUMS of a folder's files. sums: name -> SHA-256 of files that need not be read."""
    known = dict(sums or {})
    names = [str(file.relative_to(folder)) for file in _files(folder)]
    lines = [f"{known.get(name) or sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of a folder's SHA256SUMS."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def missing_outputs(folders: Iterable[str | Path]) -> list[Path]:
    """Return the outputs that manifests below these folders list but that do not exist."""
    manifests = [path for folder in folders for path in sorted(Path(folder).rglob("manifests/*.json"))]
    listed = [path.parent.parent / entry["file"] for path in manifests for entry in _entries(path)]
    return [path for path in listed if not path.exists()]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in _files(path))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    else:
        yield from sorted(file for file in path.rglob("*") if file.is_file())


def _listed(path: Path) -> dict[str, Any] | None:
    """Return the entry of a file in a manifest of its folder or of a folder above it."""
    for home in list(path.parents)[:3]:
        for manifest in sorted((home / "manifests").glob("*.json")):
            for entry in _entries(manifest):
                if home / entry["file"] == path:
                    return entry
    return None


def _entries(manifest: str | Path) -> list[dict[str, Any]]:
    stat = Path(manifest).stat()
    return _read_entries(str(manifest), stat.st_mtime_ns, stat.st_size)


@cache
def _read_entries(manifest: str, _modified: int, _bytes: int) -> list[dict[str, Any]]:
    content = read_json(manifest)
    entries = content if isinstance(content, list) else [content]  # a raw file has a manifest of its own
    return [entry for entry in entries if isinstance(entry, dict) and {"file", "bytes", "sha256"} <= entry.keys()]
