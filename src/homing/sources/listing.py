"""List what a run would retrieve: files, sizes, licences, and what it needs before it can start."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from homing.sources.retrieve import in_mirror
from homing.sources.table import Row, planned_bytes

HEADER = ("source", "files", "GB", "from", "licence")


def listing(rows: Sequence[Row], raw: Path, mirror: str | None, accepted: Iterable[str]) -> str:
    """Return a table with one line per source, the size of what is still to download, and licences to accept.

    raw: folder of the files retrieved so far. accepted: data sets whose licence is accepted. Sizes that upstream does
    not state are shown as "?", or their files are counted.
    """
    lines = [HEADER]
    for source, group in groupby(rows, key=lambda row: f"{row['dataset']}/{row['version']}"):
        files = list(group)
        terms = files[0]["licence"] + ("" if _is_accepted(files[0], accepted) else "  [not accepted yet]")
        lines.append((source, str(len(files)), _gigabytes(files), _origin(files, raw, mirror), terms))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    table = ["  ".join([*map(str.ljust, line[:4], widths), line[4]]).rstrip() for line in lines]
    absent = [row for row in rows if not _is_retrieved(row, raw)]
    remote = [row for row in absent if not _generated(row) and not in_mirror(row, mirror)]
    unknown = sum(planned_bytes(row) is None for row in remote)
    total = f"to download: {len(remote)} files, {_gigabytes(remote)} GB"
    total += f" and {unknown} files of unknown size" if unknown else ""
    unaccepted = sorted({row["dataset"] for row in absent if not _is_accepted(row, accepted)})
    accept = [f"licences to read, then: accept_licences: [{', '.join(unaccepted)}]"] if unaccepted else []
    return "\n".join([*table, total, *accept])


def _is_accepted(row: Row, accepted: Iterable[str]) -> bool:
    return row["needs_acceptance"] == "no" or row["dataset"] in accepted


def _generated(row: Row) -> bool:
    """True if the file is made here or comes with Homing."""
    return row["url"].startswith(("toyplanet:", "file:"))


def _is_retrieved(row: Row, raw: Path) -> bool:
    return (raw / row["dataset"] / row["version"] / row["file"]).exists()


def _origin(rows: Sequence[Row], raw: Path, mirror: str | None) -> str:
    """Return where the files of a source are or come from: here, the mirror, or a host."""
    kinds = {
        "here": sum(_is_retrieved(row, raw) for row in rows),
        "mirror": sum(not _is_retrieved(row, raw) and in_mirror(row, mirror) is not None for row in rows),
    }
    rest = len(rows) - sum(kinds.values())
    host = rows[0]["url"].partition("://")[2].partition("/")[0] or rows[0]["url"].partition(":")[0]
    named = {"hf": "Hugging Face", "kaggle": "Kaggle"}.get(rows[0]["url"].partition(":")[0], host)
    parts = [f"{count} {kind}" if count < len(rows) else kind for kind, count in kinds.items() if count]
    return ", ".join([*parts, *([named] if rest else [])])


def _gigabytes(rows: Sequence[Row]) -> str:
    """Return the size of some files in GB, with ~ if a part of it is a guess; "?" if no size is known."""
    sizes = [planned_bytes(row) for row in rows]
    known = sum(size for size in sizes if size is not None)
    about = "~" if any(row["bytes"].startswith("~") for row in rows) else ""
    return "?" if rows and not known else f"{about}{known / 1e9:.{3 if known < 1e9 else 1}f}"
