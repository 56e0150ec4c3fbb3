"""Fingerprints of code: which source a rule depends on, hashed so that comments and formatting do not count.

A rule depends on its script and on every homing module the script imports, directly or not, at the top or inside a
function, or names in a string ("homing.training.pretrain"), as what it launches with `python -m`.
"""

import ast
import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path

from homing.files import atomic_path, sha256

SOURCE = Path(__file__).resolve().parents[2]
FINDINGS = f"homing/__pycache__/code.{sys.implementation.cache_tag}.json"


def share_library() -> None:
    """Let the jobs that this process starts import the same library."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))


def fingerprint(script: str | Path) -> str:
    """Hex digest of the script's code, of all homing modules it reaches, and of the templates beside them."""
    findings = _findings(SOURCE)
    modules = sorted(reachable(script))
    templates = sorted(file for folder in {path.parent for path in modules} for file in folder.glob("templates/*"))
    parts = [findings.of(path)[0] for path in (Path(script), *modules)] + [sha256(file) for file in templates]
    findings.keep()
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def reachable(script: str | Path) -> set[Path]:
    """The files of all homing modules that `script` imports, directly or through others."""
    found: set[Path] = set()
    waiting = [Path(script)]
    while waiting:
        _, names = _findings(SOURCE).of(waiting.pop())
        new = {_module_file(name) for name in names} - found - {None}
        found |= new
        waiting.extend(new)
    return found


class Findings:
    """Digest and imports of each source, kept beside Python's bytecode: parsing is most of the time that a plan takes.

    They hold as long as the bytes of the source, and of this module, are the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.sums: dict[Path, str] = {}  # of the sources that were looked at
        self.is_new = False

    def of(self, source: Path) -> tuple[str, list[str]]:
        """Digest of a source's code, and the homing modules that it imports, among names of what is in them."""
        if source not in self.sums:
            self.sums[source] = content = _content(source)
            if self.kept.get(_name(source), [None])[0] != content:
                tree = ast.parse(source.read_bytes())
                self.kept[_name(source)] = [content, sorted(_imports(tree)), _digest(tree)]
                self.is_new = True
        _, names, digest = self.kept[_name(source)]
        return digest, names

    def keep(self) -> None:
        """Write down what is new; a library that belongs to somebody else is left as it is."""
        if self.is_new and os.access(SOURCE / "homing", os.W_OK):
            with atomic_path(self.path) as partial:
                partial.write_text(json.dumps(self.kept), encoding="utf-8")
        self.is_new = False


@cache
def _findings(library: Path) -> Findings:
    return Findings(library / FINDINGS)


def _name(source: Path) -> str:
    return os.path.relpath(source, SOURCE)


def _content(source: Path) -> str:
    return hashlib.sha256(Path(__file__).read_bytes() + source.read_bytes()).hexdigest()


def _imports(tree: ast.Module) -> set[str]:
    """Names of homing modules, and of what is imported from them."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("homing."):
            names.add(node.value)
    return {name for name in names if name.split(".")[0] == "homing"}


def _digest(tree: ast.Module) -> str:
    """Of the code without its docstrings, which are taken out of the tree."""
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _module_file(name: str) -> Path | None:
    base = SOURCE.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
