"""Retrieve one raw file: from the mirror, a path, the web or the Hugging Face hub; verified, then renamed."""

import csv
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from homing.errors import HomingError
from homing.files import atomic_path, sha256, write_json

log = logging.getLogger(__name__)

Row = Mapping[str, str]
TIMEOUT_SECONDS = 60
CHUNK = 1 << 20


def retrieve(
    row: Row,
    output: str | Path,
    manifest: str | Path,
    mirror: str | None,
    accept_licences: Sequence[str],
    generated: str | Path | None = None,
) -> None:
    """Fetch the file of a row of config/sources.csv to `output` and describe it in `manifest`.

    `generated` is the toy planet's file, for rows that are made here. Raises HomingError when the licence is not
    accepted, the file is nowhere, or its size or sha256 is not the stated one; then nothing is visible at `output`.
    """
    _check_licence(row, accept_licences)
    fetch, expected = _find(row, mirror, generated)
    with atomic_path(output) as partial:
        fetch(partial)
        found = sha256(partial)
        size = partial.stat().st_size
        _verify(row, expected, found, size)
    content = {name: row[name] for name in ("dataset", "version", "file", "url", "licence", "redistribute")}
    write_json(manifest, content | {"bytes": size, "sha256": found})
    log.info(
        "%s: %.1f MB, sha256 %s%s", row["file"], size / 1e6, found[:12], "" if expected else " (nothing to compare)"
    )


def _check_licence(row: Row, accepted: Sequence[str]) -> None:
    if row["needs_acceptance"] == "yes" and row["dataset"] not in accepted:
        raise HomingError(
            f"{row['dataset']}: its licence ({row['licence']}) must be accepted: read it, "
            f"then add {row['dataset']!r} to the key accept_licences"
        )


def _find(row: Row, mirror: str | None, generated: str | Path | None) -> tuple[Callable[[Path], None], str]:
    """How to fetch the file, and the sha256 it must have ("" when none is known)."""
    if generated:
        root = _folder_with(Path(generated), "SHA256SUMS")
        return _copier(Path(generated)), _listed_sum(root, Path(generated).relative_to(root).as_posix())
    local = _in_mirror(row, mirror) if mirror else None
    if local:
        return _copier(local), row["sha256"] or _listed_sum(Path(mirror), local.relative_to(mirror).as_posix())
    url = row["url"]
    if url.startswith("file:"):
        return _copier(Path(url.removeprefix("file:"))), row["sha256"]
    if url.startswith("mirror:"):
        raise HomingError(f"{row['file']}: only found in a mirror; set the key mirror to a folder that has {url[7:]}")
    if url.startswith("hf://"):
        return lambda partial: _from_hub(row, partial), row["sha256"]
    return lambda partial: _from_web(url, partial), row["sha256"]


def _folder_with(path: Path, name: str) -> Path:
    for folder in path.parents:
        if (folder / name).is_file():
            return folder
    raise HomingError(f"{path}: no {name} above it; make the toy planet again")


def _in_mirror(row: Row, mirror: str) -> Path | None:
    root = Path(mirror)
    if not root.is_dir():
        raise HomingError(f"mirror: {mirror} is not a folder")
    stated = row["url"].removeprefix("mirror:") if row["url"].startswith("mirror:") else row["file"]
    candidates = [root / row["dataset"] / row["version"] / row["file"], root / stated, root / row["file"]]
    return next((path for path in candidates if path.is_file()), None)


def _listed_sum(root: Path, name: str) -> str:
    """The sha256 that SHA256SUMS (sha256sum's format) or MANIFEST.csv in `root` gives for a file, or ""."""
    sums = root / "SHA256SUMS"
    if sums.is_file():
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, _, file = line.partition(" ")
            if file.strip().removeprefix("*") == name:
                return digest
    manifest = root / "MANIFEST.csv"
    if manifest.is_file():
        with manifest.open(newline="", encoding="utf-8") as lines:
            return next((line["sha256"] for line in csv.DictReader(lines) if line["file"] == name), "")
    return ""


def _copier(source: Path) -> Callable[[Path], None]:
    def copy(partial: Path) -> None:
        if not source.is_file():
            raise HomingError(f"{source}: no such file")
        shutil.copyfile(source, partial)

    return copy


def _from_hub(row: Row, partial: Path) -> None:
    """`hf://datasets/<owner>/<name>/<path>` or `hf://<owner>/<name>/<path>`, at the revision that is the version."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    parts = row["url"].removeprefix("hf://").split("/")
    kind = "dataset" if parts[0] == "datasets" else "model"
    owner, name, *path = parts[1:] if kind == "dataset" else parts
    try:
        found = hf_hub_download(
            f"{owner}/{name}", "/".join(path), repo_type=kind, revision=row["version"], local_dir=partial.parent / "hub"
        )
    except (HfHubHTTPError, OSError) as error:
        raise HomingError(
            f"{row['file']}: cannot fetch it from the hub ({type(error).__name__}); accept the terms on its page and "
            "set HF_TOKEN, or put the file into the mirror folder"
        ) from error
    Path(found).replace(partial)


def _from_web(url: str, partial: Path) -> None:
    import requests

    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as answer:
            answer.raise_for_status()
            if "text/html" in answer.headers.get("Content-Type", ""):
                raise HomingError(f"{url}: answered with a web page instead of the file; is a login needed?")
            with partial.open("wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
            _check_length(url, answer, partial.stat().st_size)
    except requests.RequestException as error:
        raise HomingError(
            f"{url}: download failed ({error}); run again, or put the file into the mirror folder"
        ) from error


def _check_length(url: str, answer, size: int) -> None:
    stated = answer.headers.get("Content-Length")
    if stated and not answer.headers.get("Content-Encoding") and int(stated) != size:
        raise HomingError(f"{url}: ended after {size} of {stated} bytes; run again")


def _verify(row: Row, expected: str, found: str, size: int) -> None:
    where = f"{row['file']} ({row['dataset']}, version {row['version']})"
    if size == 0:
        raise HomingError(f"{where}: the file is empty")
    if row["bytes"] and int(row["bytes"]) != size:
        raise HomingError(f"{where}: {size} bytes, expected {row['bytes']}: truncated, or another version upstream")
    if expected and found != expected:
        raise HomingError(
            f"{where}: sha256 is {found}, expected {expected}: damaged, or another version upstream; "
            "fetch it again, or correct config/sources.csv after checking the file"
        )
