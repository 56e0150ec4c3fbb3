"""What a configuration needs: accepted licences, credentials, raw files and the user's own photos."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from homing.config import configuration
from homing.doctor.checks import Check, fail, listed, ok
from homing.errors import HomingError
from homing.sources.hosts import hub_token, kaggle_login
from homing.sources.retrieve import in_mirror
from homing.sources.table import Row, exact_bytes

HF_LOGIN = "hf auth login, or export HF_TOKEN=..."


def raw_path(folder: Path, row: Row) -> Path:
    """Return the path of a raw file after retrieval."""
    return folder / "results/raw" / row["dataset"] / row["version"] / row["file"]


def configured(config: configuration.Config, rows: Sequence[Row], folder: Path) -> list[Check]:
    """Return all checks of a configuration; `rows` are those of config/sources.csv that it reads."""
    absent = [row for row in rows if not raw_path(folder, row).exists()]
    mirror = str(folder / config["mirror"]) if config["mirror"] else None
    if mirror and not Path(mirror).is_dir():
        missing = fail("mirror", f"{mirror}: no such folder", "mirror: /path/to/your/copy, or null")
        return [licences(absent, config["accept_licences"]), missing]
    remote = [row for row in absent if not in_mirror(row, mirror)]
    return [
        licences(absent, config["accept_licences"]),
        *credentials(remote),
        raw_files(rows, absent, mirror, folder),
        *own_files(config, folder),
    ]


def licences(absent: Sequence[Row], accepted: Sequence[str]) -> Check:
    """Check that licences are accepted before their files are downloaded."""
    asked = {row["dataset"]: row["licence"] for row in absent if row["needs_acceptance"] == "yes"}
    open_ones = [name for name in asked if name not in accepted]
    if not open_ones:
        return ok("licences", f"accepted: {', '.join(asked)}" if asked else "none must be accepted")
    named = "; ".join(f"{name}: {asked[name]}" for name in open_ones)
    wanted = ", ".join(sorted({*accepted, *open_ones}))
    return fail("licences", f"not accepted: {named}", f"read them (docs/data.md), then accept_licences: [{wanted}]")


def credentials(remote: Sequence[Row]) -> list[Check]:
    """Check that there is a token for each host that needs one. Tokens are never shown."""
    gated = [row for row in remote if row["url"].startswith("hf:") and row["needs_acceptance"] == "yes"]
    kaggle = [row for row in remote if row["url"].startswith("kaggle:")]
    return [
        _login("Hugging Face", gated, hub_token, HF_LOGIN if shutil.which("hf") else "export HF_TOKEN=..."),
        _login("Kaggle", kaggle, kaggle_login, "export KAGGLE_API_TOKEN=... (Kaggle account, settings)"),
    ]


def _login(host: str, rows: Sequence[Row], login: Callable[[], object], fix: str) -> Check:
    try:
        found = bool(login())
    except (OSError, ValueError) as error:
        return fail(f"{host} token", f"its file cannot be read ({type(error).__name__})", fix)
    names = ", ".join(sorted({row["dataset"] for row in rows}))
    if rows and not found:
        return fail(f"{host} token", f"none, and {names} needs one", fix)
    return ok(f"{host} token", f"found{f', for {names}' if names else ''}" if found else "none, none is needed")


def raw_files(rows: Sequence[Row], absent: Sequence[Row], mirror: str | None, folder: Path) -> Check:
    """Check where each raw file is or comes from; files that are here must have the stated size."""
    wrong, by_hand = [], []
    counts = {"here": len(rows) - len(absent), "in the mirror": 0, "to generate": 0, "to download": 0}
    for row in rows:
        here = raw_path(folder, row)
        found = here if here.exists() else in_mirror(row, mirror)
        size = found.stat().st_size if found else None
        if found and (size == 0 or exact_bytes(row) not in (None, size)):
            wrong.append(f"{found}: {size} bytes instead of {exact_bytes(row) or 'some'}")
        if found == here:
            continue
        if not found and row["url"].startswith("mirror:"):
            by_hand.append(row["url"].removeprefix("mirror:"))
            continue
        local = row["url"].startswith(("toyplanet:", "file:"))
        counts["in the mirror" if found else "to generate" if local else "to download"] += 1
    summary = ", ".join(f"{count} {where}" for where, count in counts.items() if count) or "none"
    if wrong:
        return fail("raw files", f"{summary}; {listed(wrong, 2)}", "remove these files; they are then retrieved again")
    if by_hand:
        place = f"put them into {mirror}" if mirror else "mirror: /path, and put them there"
        return fail("raw files", f"{summary}; to be downloaded by hand: {listed(by_hand)}", f"{place} (docs/data.md)")
    return ok("raw files", summary)


def own_files(config: configuration.Config, folder: Path) -> list[Check]:
    """Check the user's own tables and folders of photos."""
    found = []
    for name in configuration.used_datasets(config):
        try:
            dataset = configuration.with_paths(config, config["datasets"][name])
        except HomingError as error:
            found.append(fail(f"data set {name}", str(error).removeprefix("config: "), "mirror: /path/to/your/copy"))
            continue
        absent = [
            dataset[key] for key in ("table", "images") if dataset.get(key) and not (folder / dataset[key]).exists()
        ]
        if absent:
            fix = f"correct datasets: {name}: table and images (homing init writes them)"
            found.append(fail(f"data set {name}", f"{' and '.join(absent)}: no such file or folder", fix))
        elif "source" not in dataset:
            found.append(ok(f"data set {name}", dataset.get("table") or dataset["images"]))
    return found
