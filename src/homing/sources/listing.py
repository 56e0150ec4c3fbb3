"""What a run would retrieve: files, volumes, licences, and what is missing before it can start."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from homing.sources.retrieve import in_mirror
from homing.sources.table import Row, planned_bytes

HEADER = ("source", "files", "GB", "from", "licence")


def listing(rows: Sequence[Row], raw: Path, mirror: str | None, accepted: Iterable[str]) -> str:
    """A table with one line per source, the volume still to fetch, and the acceptances that are missing.

    `raw` is the folder of what was retrieved already. Sizes that upstream does not state are left open.
    """
    lines = [HEADER]
    for source, group in groupby(rows, key=lambda row: f"{row['dataset']}/{row['version']}"):
        files = list(group)
        terms = files[0]["licence"] + ("" if _free(files[0], accepted) else "  [not accepted yet]")
        lines.append((source, str(len(files)), _gigabytes(files), _origin(files, raw, mirror), terms))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    table = ["  ".join([*map(str.ljust, line[:4], widths), line[4]]).rstrip() for line in lines]
    absent = [row for row in rows if not _here(row, raw)]
    remote = [row for row in absent if not _generated(row) and not in_mirror(row, mirror)]
    open_sizes = sum(planned_bytes(row) is None for row in remote)
    total = f"to download: {len(remote)} files, {_gigabytes(remote)} GB"
    total += f" and {open_sizes} files of unknown size" if open_sizes else ""
    wanted = sorted({row["dataset"] for row in absent if not _free(row, accepted)})
    accept = [f"licences to read, then: accept_licences: [{', '.join(wanted)}]"] if wanted else []
    return "\n".join([*table, total, *accept])


def _free(row: Row, accepted: Iterable[str]) -> bool:
    return row["needs_acceptance"] == "no" or row["dataset"] in accepted


def _generated(row: Row) -> bool:
    return row["url"].startswith(("toyplanet:", "file:"))


def _here(row: Row, raw: Path) -> bool:
    return (raw / row["dataset"] / row["version"] / row["file"]).exists()


def _origin(rows: Sequence[Row], raw: Path, mirror: str | None) -> str:
    kinds = {
        "here": sum(_here(row, raw) for row in rows),
        "mirror": sum(not _here(row, raw) and in_mirror(row, mirror) is not None for row in rows),
    }
    rest = len(rows) - sum(kinds.values())
    host = rows[0]["url"].partition("://")[2].partition("/")[0] or rows[0]["url"].partition(":")[0]
    named = {"hf": "Hugging Face", "kaggle": "Kaggle"}.get(rows[0]["url"].partition(":")[0], host)
    parts = [f"{count} {kind}" if count < len(rows) else kind for kind, count in kinds.items() if count]
    return ", ".join([*parts, *([named] if rest else [])])


def _gigabytes(rows: Sequence[Row]) -> str:
    sizes = [planned_bytes(row) for row in rows]
    known = sum(size for size in sizes if size is not None)
    about = "~" if any(row["bytes"].startswith("~") for row in rows) else ""
    return "?" if rows and not known else f"{about}{known / 1e9:.{3 if known < 1e9 else 1}f}"
