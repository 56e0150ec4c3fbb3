"""Fingerprints of code: the definitions that a script's result can depend on.

A script depends on every function, class and constant that it names, and on those that they name in turn: through
imports at the top or inside a function, and through a module named in a string ("homing.training.pretrain"), which is
launched by `python -m`. A definition counts by its syntax tree without docstrings and annotations of functions.
Comments, layout and unused definitions do not count. Tables of `resources/` and templates count if the code names them.

The modules of NO_RESULT log, retry, launch jobs and write files. They do not count, since no result depends on them.

`python -m homing.jobs.code SCRIPT` prints what counts.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from homing.files import atomic_path, sha256

SOURCE = Path(__file__).resolve().parents[2]
ANALYSED = f"homing/__pycache__/code.{sys.implementation.cache_tag}.json"
NO_RESULT = (
    "homing.errors",  # classes of errors
    "homing.files",  # atomic writes
    "homing.jobs",  # logs, retries, workers, fingerprints, provenance
    "homing.training.launch",  # processes
    "homing.training.meter",  # photos per second
    "homing.training.reporter",  # log lines, trackers
)
# Decorators without side effects. A definition with any other decorator counts wherever its module is imported.
PLAIN_DECORATORS = {
    "cache", "cached_property", "classmethod", "contextmanager", "dataclass", "jit", "lru_cache", "njit", "no_grad",
    "overload", "property", "staticmethod", "vectorize", "wraps",
}  # fmt: skip
AT_IMPORT = ""  # stands for the statements that run when a module is imported
WHOLE = "*"


def share_library() -> None:
    """Let jobs that this process starts import the same library."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))


@cache
def fingerprint(script: str | Path) -> str:
    """Return a hex digest of everything that counts for a script: definitions, tables and templates."""
    content = {name: sorted(digests.items()) for name, digests in what_counts(script).items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def what_counts(script: str | Path) -> dict[str, dict[str, str]]:
    """Return file (relative to the library) -> definition -> digest; tables and templates count as a whole."""
    analysed = _analysed(SOURCE)
    found: dict[str, dict[str, str]] = {}
    facts: set[Path] = set()
    reached = reachable(script)
    for path, names in reached.items():
        module = analysed.of(path)
        units = {name: module.units[name] for name in names}
        found[_name(path)] = {name: unit.digest for name, unit in units.items()}
        facts |= {fact for unit in units.values() for fact in _facts(path, unit.strings)}
    analysed.keep()
    return found | {_name(fact): {WHOLE: sha256(fact)} for fact in sorted(facts)}


def reachable(script: str | Path) -> dict[Path, set[str]]:
    """Return the files that a script reaches, itself included, with the names of the definitions it reaches in each."""
    script = Path(script)
    found: dict[Path, set[str]] = {script: set()}
    waiting = [(script, WHOLE)]
    while waiting:
        path, name = waiting.pop()
        module = _analysed(SOURCE).of(path)
        names = set(module.units) if name == WHOLE else {name} & set(module.units)
        if path not in found:  # importing it runs its packages and its own statements
            found[path] = set()
            names.add(AT_IMPORT)
            waiting += [(parent / "__init__.py", AT_IMPORT) for parent in _packages(path)]
        for new in names - found[path]:
            found[path].add(new)
            waiting += _uses(path, module, module.units[new])
    return found


@dataclass
class Unit:
    """A top-level definition: the digest of its syntax tree, and what it names."""

    digest: str = ""
    names: set[str] = field(default_factory=set)  # plain names
    attributes: set[tuple[str, str]] = field(default_factory=set)  # name.attribute
    strings: set[str] = field(default_factory=set)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # inside it, as of Module


@dataclass
class Module:
    """A module's definitions by name, and its imports: alias -> (module, name), or (module, "") for a module itself."""

    units: dict[str, Unit] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


def _uses(path: Path, module: Module, unit: Unit) -> Iterator[tuple[Path, str]]:
    """Yield the definitions that a unit names, of its own module and of others."""
    imports = module.imports | unit.imports
    for name in unit.names:
        if name in imports:
            yield from _resolved(*imports[name], WHOLE)
        elif name in module.units:
            yield path, name
    for name, attribute in unit.attributes:
        if name in imports:
            yield from _resolved(*imports[name], attribute)
        elif name in module.units:
            yield path, name
    for alias, target in unit.imports.items():  # the import runs the module, even if no name is used
        yield from _resolved(*target, WHOLE if "." in alias else AT_IMPORT)
    for text in unit.strings:
        if text.startswith("homing.") and (launched := _module_file(text)):
            yield launched, WHOLE


def _resolved(module: str, name: str, attribute: str) -> Iterator[tuple[Path, str]]:
    """Yield the definitions behind an import. attribute: what is used of a module; AT_IMPORT if it is only imported."""
    if not _is_ours(module, name):
        return
    if name and (inner := _module_file(f"{module}.{name}")):
        yield inner, attribute
        yield from _passed_on(inner, attribute)
    elif path := _module_file(module):
        wanted = attribute if not name else AT_IMPORT if attribute == AT_IMPORT else name
        yield path, wanted
        yield from _passed_on(path, wanted)


def _passed_on(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the definition of a name that a module re-exports."""
    module = _analysed(SOURCE).of(path)
    if name in module.imports and name not in module.units:
        yield from _resolved(*module.imports[name], WHOLE)


def _facts(path: Path, strings: set[str]) -> Iterator[Path]:
    """Yield the tables of `resources/` that a definition names, and all templates of its folder if it names one."""
    for text in strings:
        if text.endswith(".j2"):
            yield from path.parent.glob("templates/*")
        if text.endswith(".csv"):
            for folder in (SOURCE.parent / "resources", SOURCE / "homing/shipped/resources"):
                if (fact := folder / Path(text).name).is_file():
                    yield fact


class Analysed:
    """The analysis of each source, cached beside Python's bytecode, since parsing takes most of the time of a dry run.

    An entry is valid as long as the bytes of the source and of this module are the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.modules: dict[Path, Module] = {}
        self.is_new = False

    def of(self, source: Path) -> Module:
        """Return the definitions of a source."""
        if source not in self.modules:
            content = _content(source)
            name = _name(source)
            if self.kept.get(name, [None])[0] != content:
                self.kept[name] = [content, _as_json(analyse(ast.parse(source.read_bytes())))]
                self.is_new = True
            self.modules[source] = _from_json(self.kept[name][1])
        return self.modules[source]

    def keep(self) -> None:
        """Save new entries, if the library's folder is writable."""
        if self.is_new and os.access(SOURCE / "homing", os.W_OK):
            with atomic_path(self.path) as partial:
                partial.write_text(json.dumps(self.kept), encoding="utf-8")
        self.is_new = False


def analyse(tree: ast.Module) -> Module:
    """Return the definitions and imports of a module."""
    module = Module({AT_IMPORT: Unit()})
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports |= _imports(statement)
            continue
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'":
            names = ["__main__"]
        else:
            names = _defined(statement)
        for name in names:
            _add(module.units.setdefault(name, Unit()), statement)
    module.units[AT_IMPORT].imports |= {alias: target for alias, target in module.imports.items() if _is_ours(*target)}
    for unit in module.units.values():
        known = set(module.units) | set(module.imports) | set(unit.imports)
        unit.names &= known
        unit.attributes = {(name, attribute) for name, attribute in unit.attributes if name in known}
        used = unit.names | {name for name, _ in unit.attributes}
        foreign = sorted((alias, *module.imports[alias]) for alias in used & set(module.imports))
        unit.digest = hashlib.sha256(json.dumps([unit.digest, foreign]).encode()).hexdigest()
    return module


def _defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines, and AT_IMPORT if it has other effects."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        plain = all(_last_name(decorator) in PLAIN_DECORATORS for decorator in statement.decorator_list)
        return [statement.name] if plain else [statement.name, AT_IMPORT]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return []  # a docstring
    nodes = [node for target in targets for node in ast.walk(target)]
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    changes_others = any(isinstance(node, ast.Attribute | ast.Subscript) for node in nodes)
    return [*names, AT_IMPORT] if changes_others or not names else names


def _last_name(decorator: ast.expr) -> str:
    while isinstance(decorator, ast.Call):
        decorator = decorator.func
    return decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")


def _add(unit: Unit, statement: ast.stmt) -> None:
    """Add the digest of a statement, and what it names, to a unit."""
    statement = _bare(statement)
    unit.digest = hashlib.sha256((unit.digest + ast.dump(statement)).encode()).hexdigest()
    bases = set()  # names of which only an attribute is used
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            unit.attributes.add((node.value.id, node.attr))
            bases.add(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            unit.imports |= _imports(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            counts = node.value.startswith("homing.") or node.value.endswith((".csv", ".j2"))
            unit.strings |= {node.value} if counts else set()
    unit.names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and node not in bases}


def _bare(statement: ast.stmt) -> ast.stmt:
    """Remove docstrings and the annotations of functions, which change no result."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[1:] or [ast.Pass()] if ast.get_docstring(node) is not None else node.body
    return statement


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
    """Return alias -> (module, name), or (module, "") for a module itself."""
    if isinstance(statement, ast.Import):
        return {alias.asname or alias.name: (alias.name, "") for alias in statement.names}
    module = "." * statement.level + (statement.module or "")
    return {alias.asname or alias.name: (module, alias.name) for alias in statement.names}


def _is_ours(module: str, name: str) -> bool:
    """Return True for code of the library that can change a result."""
    path = f"{module}.{name}" if name else module
    return module.split(".")[0] == "homing" and not any(f"{path}.".startswith(f"{room}.") for room in NO_RESULT)


def _as_json(module: Module) -> list:
    units = {
        name: [unit.digest, sorted(unit.names), sorted(unit.attributes), sorted(unit.strings), unit.imports]
        for name, unit in module.units.items()
    }
    return [units, module.imports]


def _from_json(content: list) -> Module:
    units = {
        name: Unit(digest, set(names), {(one, other) for one, other in attributes}, set(strings), _pairs(imports))
        for name, (digest, names, attributes, strings, imports) in content[0].items()
    }
    return Module(units, _pairs(content[1]))


def _pairs(imports: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    return {alias: (module, name) for alias, (module, name) in imports.items()}


@cache
def _analysed(library: Path) -> Analysed:
    return Analysed(library / ANALYSED)


def _name(source: Path) -> str:
    return os.path.relpath(source, SOURCE)


def _content(source: Path) -> str:
    return hashlib.sha256(Path(__file__).read_bytes() + source.read_bytes()).hexdigest()


def _packages(path: Path) -> list[Path]:
    """Return the folders of a module's packages."""
    return [parent for parent in path.parents if parent.is_relative_to(SOURCE / "homing")]


@cache
def _module_file(name: str) -> Path | None:
    base = SOURCE.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


if __name__ == "__main__":
    for _file, _definitions in sorted(what_counts(sys.argv[1]).items()):
        print(_file, *sorted(filter(None, _definitions)))
