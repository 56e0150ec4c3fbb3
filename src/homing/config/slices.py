"""Slices of the configuration: the keys that a rule's result depends on, and no others.

The schema marks what never counts (`affects`: it sizes a job, brings files here, reports or checks) and what counts
only where a method is chosen (`only`). A slice names what it takes by dotted keys of the run: "refine.top_cells".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from homing.config.configuration import Config, dereference, run_config, schema, used_datasets


def slice_of(config: Config, keys: Iterable[str], run: str | None = None, methods: Iterable[str] = ()) -> Config:
    """The slice of `config` (of one run's, when named) with these dotted keys, nested as in the configuration.

    A section's name takes all of its keys that count; keys of `methods` count as if they were chosen. Raises KeyError
    for a key that the schema does not have.
    """
    whole = dict(run_config(config, run) if run else config)
    whole["datasets"] = {name: config["datasets"][name] for name in used_datasets(config)}
    chosen: Config = {}
    for key in keys:
        _copy(whole, key.split("."), schema(), chosen, set(methods))
    return chosen


def result_keys() -> tuple[str, ...]:
    """The top-level keys that can change a result."""
    return tuple(name for name, node in schema()["properties"].items() if "affects" not in node)


def _copy(
    values: Mapping[str, Any], path: list[str], section: Mapping[str, Any], target: Config, methods: set[str]
) -> None:
    """Copy what counts at `path` of a section's values into `target`."""
    name, *rest = path
    node = dereference(section["properties"][name])
    if "properties" in node and isinstance(values[name], Mapping):
        for key in rest[:1] or values[name]:
            _copy(values[name], [key, *rest[1:]], node, target.setdefault(name, {}), methods)
    elif _counts(name, node, section, values, methods):
        target[name] = values[name]


def _counts(
    name: str, node: Mapping[str, Any], section: Mapping[str, Any], values: Mapping[str, Any], methods: set[str]
) -> bool:
    """True if a key can change a result, given its section's other values."""
    conditions = node.get("only") or section.get("only") or {}
    return "affects" not in node and all(
        name == key or _is_one_of(values[key], wanted) or methods & set(wanted) for key, wanted in conditions.items()
    )


def _is_one_of(value: Any, wanted: list[Any]) -> bool:
    return bool(set(value) & set(wanted)) if isinstance(value, list) else value in wanted
