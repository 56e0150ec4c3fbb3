"""The configuration: defaults from the schema, presets laid over them, variants, and errors that name the key.

`config/schema.yaml` is the one definition; `homing.config.reference` writes what people read of it.
"""

import difflib
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import yaml

from homing.errors import HomingError
from homing.shipped import ROOT
from homing.sources.table import source_rows

FOLDER = ROOT / "config"

# What a variant may change; everything else is shared by all runs.
RUN_KEYS = (
    "seed",
    "run_dataset",
    "splits",
    "decontaminate",
    "geocells",
    "compare_geocells",
    "captions",
    "model",
    "pretrain",
    "embed",
    "finetune",
    "refine",
    "evaluate",
)
# What a data set is read from, by its adapter.
SOURCE_KEYS = {
    "mp16": ("source",),
    "osv5m": ("source",),
    "osv_mini": ("source", "images"),
    "landmarks": ("source",),
    "csv_folder": ("table", "source"),
    "exif_folder": ("images",),
}
Config = dict[str, Any]


@cache
def schema() -> Config:
    """Return the JSON schema of the configuration."""
    text = (FOLDER / "schema.yaml").read_text(encoding="utf-8")
    return yaml.CSafeLoader(text).get_single_data()  # safe_load, an eighth of its time


def resolve(given: Mapping[str, Any]) -> Config:
    """Return the defaults with `given` merged over them, validated. Raises HomingError that names the key."""
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
    """Return every key with its default."""
    return _defaults(schema())


def _defaults(node: Mapping[str, Any]) -> Any:
    node = dereference(node)
    if "properties" in node and "default" not in node:
        return {name: _defaults(child) for name, child in node["properties"].items() if _has_default(child)}
    return deepcopy(node["default"])


def _has_default(node: Mapping[str, Any]) -> bool:
    return "default" in node or "properties" in dereference(node)


def dereference(node: Mapping[str, Any]) -> Config:
    """Return a node of the schema with its `$ref` resolved."""
    if "$ref" not in node:
        return dict(node)
    return schema()["$defs"][node["$ref"].rsplit("/", 1)[1]] | {
        key: value for key, value in node.items() if key != "$ref"
    }


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """Return `base` with `changes` merged over it, key by key; lists and data sets are replaced whole.

    A new source of a raster does away with the member that was read in the old one.
    """
    merged = deepcopy(dict(base))
    if changes.get("source") not in (None, merged.get("source")):
        merged.pop("member", None)
    for key, value in changes.items():
        whole = isinstance(value, Mapping) and "adapter" in value
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and not whole:
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def check(config: Mapping[str, Any], prefix: str = "") -> None:
    """Raise HomingError that names the first wrong key, what it may be, and the most similar known key."""
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
    """Check what a schema cannot express: keys that must agree with each other."""
    cells, datasets, model, run_dataset = config["geocells"], config["datasets"], config["model"], config["run_dataset"]
    pretrained, splits = model["pretrained"], config["splits"]
    problems = [
        (cells["min_photos"] > cells["max_photos"], "geocells.min_photos is larger than geocells.max_photos"),
        (run_dataset not in datasets, f"run_dataset {run_dataset!r} is none of datasets: {', '.join(datasets)}"),
        (splits["method"] == "regions" and not splits["regions"], "splits.regions must name boxes"),
        (splits["distance_km"] > splits["block_km"], "splits.distance_km is larger than splits.block_km"),
        (run_dataset in config["evaluate"]["benchmarks"], "evaluate.benchmarks names the run's own data set"),
        (bool(model["source"]) and bool(model["revision"]), "model.source and model.revision: the source has its own"),
        (
            bool(pretrained) and not pretrained.startswith((".", "/", "results/")) and not model["revision"],
            "model.revision must pin the commit of a hub model",
        ),
    ]
    for size, divisor in (("image_side", "patch"), ("width", "heads"), ("text_width", "heads")):
        uneven = not pretrained and model[size] % model[divisor] != 0
        problems.append((uneven, f"model.{size} must be a multiple of model.{divisor}"))
    for name in [*config["evaluate"]["benchmarks"], cells["dataset"] or config["run_dataset"]]:
        problems.append((name not in datasets, f"{name!r} is none of datasets: {', '.join(datasets)}"))
    for name, dataset in datasets.items():
        wanted = SOURCE_KEYS[dataset["adapter"]]
        missing = not any(dataset.get(key) for key in wanted)
        problems.append((missing, f"datasets.{name} needs the key {' or '.join(map(repr, wanted))}"))
        reserved = name in ("train", "val", "test") or not re.fullmatch("[a-z0-9_]+", name)
        problems.append((reserved, f"datasets.{name}: use small letters, digits and _, and not train, val or test"))
    for wrong, message in problems:
        if wrong:
            raise HomingError(f"config: {prefix}{message}")


def runs(config: Config) -> list[str]:
    """Return the names of the run and its variants."""
    return [config["run"], *config["variants"]]


def run_config(config: Config, run: str) -> Config:
    """Return one run's configuration: its variant's keys over the shared ones, a retrieved checkpoint as a folder."""
    chosen = merge(config, config["variants"].get(run, {})) | {"run": run, "variants": {}}
    if source := chosen["model"]["source"]:
        chosen["model"]["pretrained"] = f"results/encoders/{source}"
    return chosen


def expand_path(config: Config, path: str) -> str:
    """Return `path` with '{mirror}' replaced by the mirror folder."""
    if "{mirror}" in path and not config["mirror"]:
        raise HomingError(f"config: {path!r} needs the key 'mirror': the folder with your copy of the data")
    return path.replace("{mirror}", str(config["mirror"]))


def used_datasets(config: Config) -> list[str]:
    """Return the data sets that some run trains on, shapes its cells with, or is tested on."""
    names: dict[str, None] = {}
    for run in runs(config):
        chosen = run_config(config, run)
        wanted = [chosen["run_dataset"], chosen["geocells"]["dataset"], *chosen["evaluate"]["benchmarks"]]
        names |= dict.fromkeys(name for name in wanted if name)
    return list(names)


def used_sources(config: Config) -> list[str]:
    """Return the `<dataset>/<version>` that the configuration reads."""
    labels = config["labels"]
    places = [value["source"] for value in labels.values() if isinstance(value, dict)] + [labels["driving_side"]]
    photos = [config["datasets"][name].get("source") for name in used_datasets(config)]
    models = [run_config(config, run)["model"]["source"] for run in runs(config)]
    return list(dict.fromkeys(source for source in [*places, *photos, *models] if source))


def used_rows(config: Config, sources: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of config/sources.csv that the configuration reads."""
    return [row for source in used_sources(config) for row in source_rows(sources, source)]


def with_members(labels: Config, sources: list[dict[str, str]]) -> Config:
    """Return the labels' configuration with the file to read in each raster's archive, from config/sources.csv."""
    completed = deepcopy(labels)
    for value in completed.values():
        if isinstance(value, dict) and not value.get("member"):
            member = source_rows(sources, value["source"])[0]["member"]
            value |= {"member": member} if member else {}
    return completed


def with_paths(config: Config, dataset: Config) -> Config:
    """Return a data set's configuration with '{mirror}' replaced in its paths."""
    return dataset | {key: expand_path(config, dataset[key]) for key in ("table", "images") if dataset.get(key)}
