"""What a configuration needs from outside: acceptances, credentials, files of a mirror."""

from collections.abc import Callable, Sequence
from pathlib import Path

from homing.config import configuration
from homing.doctor.checks import Check, fail, listed, ok
from homing.errors import HomingError
from homing.sources.hosts import hub_token, kaggle_login
from homing.sources.retrieve import in_mirror
from homing.sources.table import Row, exact_bytes, read_sources, source_rows


def used_rows(config: configuration.Config, sources: Path) -> list[Row]:
    """The rows of config/sources.csv that a configuration reads."""
    rows = read_sources(sources)
    return [row for source in configuration.used_sources(config) for row in source_rows(rows, source)]


def raw_path(folder: Path, row: Row) -> Path:
    """Where a raw file is when it was retrieved."""
    return folder / "results/raw" / row["dataset"] / row["version"] / row["file"]


def configured(config: configuration.Config, rows: Sequence[Row], folder: Path) -> list[Check]:
    """All checks; `folder` holds results/."""
    absent = [row for row in rows if not raw_path(folder, row).exists()]
    mirror = str(folder / config["mirror"]) if config["mirror"] else None
    if mirror and not Path(mirror).is_dir():
        here = fail("mirror", f"{mirror}: no such folder", "mirror: /path of your copy, or null")
        return [licences(absent, config["accept_licences"]), here]
    remote = [row for row in absent if not in_mirror(row, mirror)]
    return [
        licences(absent, config["accept_licences"]),
        *credentials(remote),
        raw_files(rows, absent, mirror, folder),
        *own_files(config, folder),
    ]


def licences(absent: Sequence[Row], accepted: Sequence[str]) -> Check:
    """Licences that must be accepted before their files are fetched."""
    asked = {row["dataset"]: row["licence"] for row in absent if row["needs_acceptance"] == "yes"}
    open_ones = [name for name in asked if name not in accepted]
    if not open_ones:
        return ok("licences", f"accepted: {', '.join(asked)}" if asked else "none must be accepted")
    told = "; ".join(f"{name}: {asked[name]}" for name in open_ones)
    wanted = ", ".join(sorted({*accepted, *open_ones}))
    return fail("licences", f"not accepted: {told}", f"read them (docs/data.md), then accept_licences: [{wanted}]")


def credentials(remote: Sequence[Row]) -> list[Check]:
    """Whether there is a login where one is needed. What it is appears nowhere."""
    gated = [row for row in remote if row["url"].startswith("hf:") and row["needs_acceptance"] == "yes"]
    kaggle = [row for row in remote if row["url"].startswith("kaggle:")]
    return [
        _login("Hugging Face", gated, hub_token, "hf auth login, or export HF_TOKEN=..."),
        _login("Kaggle", kaggle, kaggle_login, "export KAGGLE_API_TOKEN=... (Kaggle account, settings)"),
    ]


def _login(host: str, rows: Sequence[Row], login: Callable[[], object], cure: str) -> Check:
    try:
        found = bool(login())
    except (OSError, ValueError) as error:
        return fail(f"{host} token", f"its file cannot be read ({type(error).__name__})", cure)
    names = ", ".join(sorted({row["dataset"] for row in rows}))
    if rows and not found:
        return fail(f"{host} token", f"none, and {names} needs one", cure)
    return ok(f"{host} token", f"found{f', for {names}' if names else ''}" if found else "none, and none is needed")


def raw_files(rows: Sequence[Row], absent: Sequence[Row], mirror: str | None, folder: Path) -> Check:
    """Where each raw file is or comes from; sizes of those that are here must be the stated ones."""
    wrong, by_hand, counts = [], [], {"here": len(rows) - len(absent), "mirror": 0, "to make": 0, "to download": 0}
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
        counts["mirror" if found else "to make" if local else "to download"] += 1
    told = ", ".join(f"{count} {where}" for where, count in counts.items() if count) or "none"
    if wrong:
        return fail("raw files", f"{told}; {listed(wrong, 2)}", "remove these files and let them be fetched again")
    if by_hand:
        place = f"put them into {mirror}" if mirror else "mirror: /path, and put them there"
        return fail("raw files", f"{told}; no program can fetch {listed(by_hand)}", f"{place} (docs/data.md)")
    return ok("raw files", told)


def own_files(config: configuration.Config, folder: Path) -> list[Check]:
    """The user's own tables and folders of photos."""
    found = []
    for name in configuration.used_datasets(config):
        try:
            dataset = configuration.with_paths(config, config["datasets"][name])
        except HomingError as error:
            found.append(fail(f"data set {name}", str(error).removeprefix("config: "), "mirror: /path"))
            continue
        absent = [
            dataset[key] for key in ("table", "images") if dataset.get(key) and not (folder / dataset[key]).exists()
        ]
        if absent:
            cure = f"put it there, or datasets: {name}: table and images; homing init writes them"
            found.append(fail(f"data set {name}", f"{' and '.join(absent)}: no such file or folder", cure))
        elif "source" not in dataset:
            found.append(ok(f"data set {name}", dataset.get("table") or dataset["images"]))
    return found
