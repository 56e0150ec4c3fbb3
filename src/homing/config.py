"""The configuration: defaults from the schema, presets laid over them, variants, and errors that name the key.

`config/schema.yaml` is the one definition; `python -m homing.config` writes `config/config.yaml` from it.
"""

import csv
import difflib
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from homing.errors import HomingError

FOLDER = Path(__file__).resolve().parents[2] / "config"

# What a variant may change; everything else is shared by all runs.
RUN_KEYS = (
    "seed",
    "run_dataset",
    "splits",
    "geocells",
    "captions",
    "model",
    "pretrain",
    "finetune",
    "refine",
    "evaluate",
)
# Sizes of a job, not of its result: they never make a rule run again.
LAUNCH_KEYS = ("nodes", "processes_per_node", "gpus_per_node", "checkpoint_minutes")

Config = dict[str, Any]


@cache
def schema() -> Config:
    """The JSON schema of the configuration."""
    return yaml.safe_load((FOLDER / "schema.yaml").read_text(encoding="utf-8"))


KEYS = tuple(schema()["properties"])


def resolve(given: Mapping[str, Any]) -> Config:
    """The full configuration: defaults, with `given` laid over them, checked. Raises HomingError naming the key."""
    config = merge(defaults(), given)
    check(config)
    for name, changes in config["variants"].items():
        foreign = [key for key in changes if key not in RUN_KEYS]
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name == config["run"]:
            raise HomingError(
                f"config: variants: {name!r} must be a name of letters, digits and _, other than the run's"
            )
        if foreign:
            raise HomingError(f"config: variants.{name}.{foreign[0]}: a variant may only change {', '.join(RUN_KEYS)}")
        check(merge(config, changes), prefix=f"variants.{name}.")
    for run in runs(config):
        _check_meaning(run_config(config, run), "" if run == config["run"] else f"variants.{run}.")
    return config


def defaults() -> Config:
    """Every key with its default."""
    return _defaults(schema())


def _defaults(node: Mapping[str, Any]) -> Any:
    node = _dereference(node)
    if "properties" in node and "default" not in node:
        return {name: _defaults(child) for name, child in node["properties"].items() if _has_default(child)}
    return deepcopy(node["default"])


def _has_default(node: Mapping[str, Any]) -> bool:
    return "default" in node or "properties" in _dereference(node)


def _dereference(node: Mapping[str, Any]) -> Config:
    if "$ref" not in node:
        return dict(node)
    return schema()["$defs"][node["$ref"].rsplit("/", 1)[1]] | {
        key: value for key, value in node.items() if key != "$ref"
    }


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """`changes` laid over `base`, key by key; lists are replaced whole, and so are data sets and raster sources."""
    merged = deepcopy(dict(base))
    for key, value in changes.items():
        whole = isinstance(value, Mapping) and ("adapter" in value or "source" in value)
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and not whole:
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def check(config: Mapping[str, Any], prefix: str = "") -> None:
    """Raise HomingError with one line naming the first wrong key, what it may be, and the nearest known key."""
    from jsonschema import Draft202012Validator

    errors = sorted(
        Draft202012Validator(schema()).iter_errors(config), key=lambda error: list(map(str, error.absolute_path))
    )
    if errors:
        raise HomingError(_explain(errors[0], prefix))


def _explain(error: Any, prefix: str) -> str:
    where = prefix + ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        key = next(name for name in error.instance if name not in known)
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"config: unknown key {'.'.join(filter(None, [where, key]))!r}; {advice}"
    expected = {
        "enum": lambda: "one of " + ", ".join(map(repr, error.validator_value)),
        "type": lambda: "of type " + " or ".join(_as_list(error.validator_value)),
        "minimum": lambda: f"at least {error.validator_value}",
        "maximum": lambda: f"at most {error.validator_value}",
        "exclusiveMinimum": lambda: f"more than {error.validator_value}",
        "exclusiveMaximum": lambda: f"less than {error.validator_value}",
        "pattern": lambda: f"text like {error.validator_value}",
    }.get(error.validator, lambda: error.message)()
    return f"config: {where or 'the file'} is {error.instance!r} but must be {expected}"


def _as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _check_meaning(config: Config, prefix: str) -> None:
    """What a schema cannot say: keys that must agree with each other."""
    cells, datasets, model, run_dataset = config["geocells"], config["datasets"], config["model"], config["run_dataset"]
    pretrained, splits = model["pretrained"], config["splits"]
    problems = [
        (cells["min_photos"] > cells["max_photos"], "geocells.min_photos is larger than geocells.max_photos"),
        (run_dataset not in datasets, f"run_dataset {run_dataset!r} is none of datasets: {', '.join(datasets)}"),
        (splits["method"] == "regions" and not splits["regions"], "splits.regions must name boxes"),
        (
            bool(pretrained) and not pretrained.startswith((".", "/")) and not model["revision"],
            "model.revision must pin the commit of a hub model",
        ),
    ]
    for size, divisor in (("image_side", "patch"), ("width", "heads"), ("text_width", "heads")):
        uneven = not pretrained and model[size] % model[divisor] != 0
        problems.append((uneven, f"model.{size} must be a multiple of model.{divisor}"))
    for name in [*config["evaluate"]["benchmarks"], cells["dataset"] or config["run_dataset"]]:
        problems.append((name not in datasets, f"{name!r} is none of datasets: {', '.join(datasets)}"))
    for name, dataset in datasets.items():
        wanted = "source" if dataset["adapter"] == "mp16" else "table"
        problems.append((wanted not in dataset, f"datasets.{name} needs the key {wanted!r}"))
        reserved = name in ("train", "val", "test") or not re.fullmatch("[a-z0-9_]+", name)
        problems.append((reserved, f"datasets.{name}: use small letters, digits and _, and not train, val or test"))
    for wrong, message in problems:
        if wrong:
            raise HomingError(f"config: {prefix}{message}")


def runs(config: Config) -> list[str]:
    """The run and its variants."""
    return [config["run"], *config["variants"]]


def run_config(config: Config, run: str) -> Config:
    """The configuration of one run: the variant's keys laid over the shared ones."""
    return merge(config, config["variants"].get(run, {})) | {"run": run, "variants": {}}


def pick(config: Config, keys: Iterable[str], run: str | None = None) -> Config:
    """The slice of the configuration that a rule depends on, without the keys that only size its job."""
    chosen = run_config(config, run) if run else config
    return {key: _without_launch(chosen[key]) for key in keys}


def _without_launch(value: Any) -> Any:
    return {key: item for key, item in value.items() if key not in LAUNCH_KEYS} if isinstance(value, dict) else value


def expand_path(config: Config, path: str) -> str:
    """`path` with '{mirror}' replaced by the mirror folder."""
    if "{mirror}" in path and not config["mirror"]:
        raise HomingError(f"config: {path!r} needs the key 'mirror': the folder with your copy of the data")
    return path.replace("{mirror}", str(config["mirror"]))


def read_sources(path: str | Path) -> list[dict[str, str]]:
    """The rows of config/sources.csv."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def source_rows(sources: list[dict[str, str]], source: str) -> list[dict[str, str]]:
    """The rows of `<dataset>/<version>`. Raises HomingError naming the versions there are."""
    dataset, version = source.split("/")
    rows = [row for row in sources if row["dataset"] == dataset and row["version"] == version]
    if not rows:
        known = sorted({f"{row['dataset']}/{row['version']}" for row in sources})
        near = difflib.get_close_matches(source, known, n=3, cutoff=0.4)
        raise HomingError(f"config: source {source!r} is not in config/sources.csv; near: {', '.join(near or known)}")
    return rows


def source_row(sources: list[dict[str, str]], source: str, file: str) -> dict[str, str]:
    """The row of one file of `<dataset>/<version>`."""
    for row in source_rows(sources, source):
        if row["file"] == file:
            return row
    raise HomingError(f"config/sources.csv: {source} has no file {file!r}")


def used_datasets(config: Config) -> list[str]:
    """The data sets that some run trains on, shapes its cells with, or is tested on."""
    names: dict[str, None] = {}
    for run in runs(config):
        chosen = run_config(config, run)
        wanted = [chosen["run_dataset"], chosen["geocells"]["dataset"], *chosen["evaluate"]["benchmarks"]]
        names |= dict.fromkeys(name for name in wanted if name)
    return list(names)


def used_sources(config: Config) -> list[str]:
    """The `<dataset>/<version>` that the configuration reads."""
    labels = config["labels"]
    places = [value["source"] for value in labels.values() if isinstance(value, dict)] + [labels["driving_side"]]
    photos = [config["datasets"][name].get("source") for name in used_datasets(config)]
    return [source for source in [*places, *photos] if source]


def _reference(node: Mapping[str, Any], lines: list[str], indent: str) -> None:
    for name, child in node["properties"].items():
        child = _dereference(child)
        if "description" in child:
            lines += textwrap.wrap(
                child["description"], 120, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
            )
        if "properties" in child and "default" not in child:
            lines.append(f"{indent}{name}:")
            _reference(child, lines, indent + "  ")
        else:
            value = yaml.safe_dump(child["default"], default_flow_style=True, width=1000, sort_keys=False).removesuffix(
                "...\n"
            )
            lines.append(f"{indent}{name}: {value.strip()}")


def reference() -> str:
    """The text of `config/config.yaml`: every key with its default, its description above it."""
    lines = [
        "# Every key with its default. Written from config/schema.yaml by `make config`: change defaults there, and",
        "# put your own values into a file of your own: snakemake --configfile my.yaml",
    ]
    _reference(schema(), lines, indent="")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write config/config.yaml, or with `--check` say whether it is what the schema gives."""
    path = FOLDER / "config.yaml"
    if "--check" not in arguments:
        path.write_text(reference(), encoding="utf-8")
        return 0
    if path.read_text(encoding="utf-8") == reference():
        return 0
    print(f"{path.name} is not what schema.yaml gives: run `make config`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
