"""What people read of `config/schema.yaml`: `config/config.yaml` and `docs/configuration.md`.

`python -m homing.config.reference` writes both; `--check` says whether they are what the schema gives.
"""

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from homing.config.configuration import FOLDER, dereference, schema

DOCS = FOLDER.parent / "docs"
SECTION_LEVELS = ("##", "###", "####")
PAGE_HEAD = """# Configuration

All keys, written from `config/schema.yaml`. `config/config.yaml` lists them with their defaults, which run the demo.
Put your own values into a file of your own and name it with `--configfile`: lists are replaced as a whole, everything
else key by key. An unknown key, a wrong type or an impossible value stops the workflow before any job starts, and the
message names the key. [Training](training.md) says which keys are batch size, gradient accumulation, early stopping.
"""


def leaf(node: Mapping[str, Any]) -> bool:
    """Return True if a node (dereferenced) is a key with a value, not a section of keys."""
    return "properties" not in node or "default" in node


def config_yaml() -> str:
    """Return the text of `config/config.yaml`: every key with its default, below its description."""
    lines = [
        "# All keys with their defaults, written from config/schema.yaml by `make config`: change defaults there, and",
        "# put your own values into a file of your own: snakemake --configfile my.yaml",
    ]
    lines += _yaml_lines(schema(), indent="")
    return "\n".join(lines) + "\n"


def _yaml_lines(node: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, child in node["properties"].items():
        child = dereference(child)
        margin = f"{indent}# "
        yield from textwrap.wrap(child["description"], 120, initial_indent=margin, subsequent_indent=margin)
        if leaf(child):
            yield f"{indent}{name}: {flow(child['default'])}"
        else:
            yield f"{indent}{name}:"
            yield from _yaml_lines(child, indent + "  ")


def flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def configuration_page() -> str:
    """Return the text of `docs/configuration.md`: tables of keys by section, then those of rasters and data sets."""
    lines = [PAGE_HEAD]
    lines += _table([(name, child) for name, child in _children(schema()) if leaf(child)])
    for name, child in _children(schema()):
        if not leaf(child):
            lines += _section(name, child, 0)
    for name in ("raster", "dataset"):
        lines += [f"## Keys of a {name}", ""]
        lines += _table(list(_children(schema()["$defs"][name])))
    return "\n".join(lines)


def _children(node: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node["properties"].items():
        yield name, dereference(child)


def _section(name: str, node: Mapping[str, Any], depth: int) -> list[str]:
    lines = [f"{SECTION_LEVELS[depth]} {name}", "", _text(node["description"]), ""]
    lines += _table([(key, child) for key, child in _children(node) if leaf(child)])
    for key, child in _children(node):
        if not leaf(child):
            lines += _section(f"{name}.{key}", child, depth + 1)
    return lines


def _table(keys: list[tuple[str, dict[str, Any]]]) -> list[str]:
    rows = [f"| `{name}` | {_kind(node)} | {_default(node)} | {_text(node['description'])} |" for name, node in keys]
    return ["| key | type, unit | default | meaning |", "|---|---|---|---|", *rows, ""]


def _kind(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return _text(" \\| ".join(map(str, node["enum"])))
    options = node.get("anyOf", [node])
    names = [dereference(option).get("type", "object") for option in options]
    flat = [name for item in names for name in (item if isinstance(item, list) else [item])]
    unit = node.get("unit", "none")
    return " or ".join(flat) + ("" if unit == "none" else f", {unit}")


def _default(node: Mapping[str, Any]) -> str:
    return f"`{flow(node['default'])}`" if "default" in node else ""


def _text(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


WRITTEN: dict[Path, Callable[[], str]] = {
    FOLDER / "config.yaml": config_yaml,
    DOCS / "configuration.md": configuration_page,
}


def main(arguments: list[str]) -> int:
    """Write the files; with `--check`, only report which of them are stale."""
    stale = [path for path, text in WRITTEN.items() if not path.is_file() or path.read_text(encoding="utf-8") != text()]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(WRITTEN[path](), encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.name} is not what schema.yaml gives: run `make config`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
