"""The structure of the library: rooms and floors, imports that run up, circles of imports, lines per function.

python benchmarks/structure.py

A room is a folder or a module directly under src/homing. It may import rooms of lower floors only (`FLOORS`, from the
top down). Imports inside functions count. tests/unit/test_walls.py fails on what this finds.
"""

import argparse
import ast
import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1] / "src/homing"

FLOORS = """
    cli
    report    setup
    evaluate  doctor     package
    importing geocells   plan        training
    config    photos     labels
    jobs      tables     sources     refine     model
    files     captions   confidence  embeddings toyplanet text_tables
    errors    shipped    sphere      optics     tasks     seeds     readouts  geoscore   templates
"""

Graph = Mapping[str, frozenset[str]]


@cache
def modules() -> dict[str, Path]:
    """Module name -> file of every module of the library; `homing.refine` is the `__init__.py` of that folder."""
    found = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = ("homing", *path.relative_to(LIBRARY).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def module_graph() -> dict[str, frozenset[str]]:
    """Module -> the modules of the library that it imports, at the top or inside a function."""
    return {name: (_named_in(path) & modules().keys()) - {name} for name, path in modules().items()}


@cache
def _named_in(path: Path) -> frozenset[str]:
    return frozenset().union(*map(named, ast.walk(tree(path))))


def named(node: ast.AST) -> set[str]:
    """Dotted names of what an import statement imports: modules, and what is taken from them; else nothing."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        full = {f"{node.module}.{alias.name}" for alias in node.names}
        return full if full <= modules().keys() else full | {node.module}
    return set()


def room_of(module: str) -> str:
    """The room of a module; the package itself (`homing`, which holds the version) is in none: ''."""
    return module.split(".")[1] if "." in module else ""


def rooms() -> list[str]:
    """The names of all rooms."""
    return sorted({room_of(name) for name in modules()} - {""})


def room_graph(graph: Graph) -> dict[str, frozenset[str]]:
    """Room -> the other rooms that its modules import."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, imported in graph.items():
        found[room_of(module)] |= {room_of(name) for name in imported} - {room_of(module), ""}
    return {room: frozenset(others) for room, others in found.items() if room}


def floors() -> list[list[str]]:
    """The rooms of each floor, from the ground up."""
    return [line.split() for line in FLOORS.strip().splitlines()][::-1]


def arrows_back(graph: Graph) -> list[str]:
    """Imports of a room that does not lie on a lower floor, as "a.b -> c.d"; rooms of no floor are left out."""
    floor = {room: number for number, names in enumerate(floors()) for room in names}
    return [
        f"{module} -> {name}"
        for module, imported in sorted(graph.items())
        for name in sorted(imported)
        if room_of(module) != room_of(name)
        and {room_of(module), room_of(name)} <= floor.keys()
        and floor[room_of(name)] >= floor[room_of(module)]
    ]


def circles(graph: Graph) -> list[list[str]]:
    """Nodes that import each other, directly or through others: the strongly connected components of several nodes."""
    reached = {node: reachable(graph, node) for node in graph}
    found = {
        tuple(sorted(other for other in reached[node] if node in reached.get(other, ())))
        for node in graph
        if node in reached[node]
    }
    return [list(circle) for circle in sorted(found)]


def reachable(graph: Graph, start: str) -> set[str]:
    """The nodes that can be reached from `start`; `start` itself only through a circle."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting += new
    return found


def function_lengths() -> dict[str, int]:
    """ "file:line name" -> number of lines of every function and method, with its signature and docstring."""
    return {
        f"{path.relative_to(LIBRARY)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def packages(path: Path) -> frozenset[str]:
    """Top-level names of all that a file imports, at the top or inside a function."""
    return frozenset(name.split(".")[0] for name in _named_in(path))


def reached(path: Path) -> frozenset[str]:
    """Top-level names of all that a file imports, and of what the modules of the library import which it reaches so."""
    names = _named_in(path) & modules().keys()
    found = names.union(*(_closure()[name] for name in names))
    return packages(path).union(*(packages(modules()[name]) for name in found))


@cache
def _closure() -> dict[str, set[str]]:
    return {name: reachable(module_graph(), name) for name in module_graph()}


def summary() -> dict[str, object]:
    """All figures, for `--json`."""
    graph, lengths = module_graph(), sorted(function_lengths().values())
    return {
        "modules": len(graph),
        "rooms": len(rooms()),
        "floors": len(floors()),
        "rooms_on_no_floor": sorted(set(rooms()).difference(*floors())),
        "arrows_back": arrows_back(graph),
        "circles_of_rooms": circles(room_graph(graph)),
        "circles_of_modules": circles(graph),
        "functions": len(lengths),
        "lines_median": lengths[len(lengths) // 2],
        "lines_p90": lengths[int(0.9 * len(lengths))],
        "lines_max": lengths[-1],
    }


def as_text(longest: int = 5) -> str:
    """The floors with their rooms, from the top down, the rooms that each room imports, and the figures."""
    graph = module_graph()
    imports, found = room_graph(graph), summary()
    lines = []
    for number, names in reversed(list(enumerate(floors()))):
        lines += [f"{number}  {room:<12} imports {', '.join(sorted(imports.get(room, ()))) or '-'}" for room in names]
    lines.append("")
    for name in ("modules", "rooms", "floors", "functions"):
        lines.append(f"{name:<20} {found[name]}")
    lines.append(f"{'lines per function':<20} median {found['lines_median']}, 90 % {found['lines_p90']}, longest:")
    ordered = sorted(function_lengths().items(), key=lambda item: -item[1])
    lines += [f"    {length:>4}  {name}" for name, length in ordered[:longest]]
    for name in ("rooms_on_no_floor", "arrows_back", "circles_of_rooms", "circles_of_modules"):
        offenders = found[name]
        assert isinstance(offenders, list)
        lines.append(f"{name.replace('_', ' '):<20} {len(offenders)}")
        lines += [f"    {offender}" for offender in offenders]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print(json.dumps(summary(), indent=1) if options.json else as_text())


if __name__ == "__main__":
    main()
