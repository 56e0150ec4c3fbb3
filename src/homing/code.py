"""Fingerprints of code: which source a rule depends on, hashed so that comments and formatting do not count.

A rule depends on its script and on every homing module the script imports, directly or not, at the top or inside a
function, or names in a string ("homing.training.pretrain"), as what it launches with `python -m`.
"""

import ast
import hashlib
import os
from functools import cache
from pathlib import Path

from homing.files import sha256

SOURCE = Path(__file__).resolve().parents[1]


def share_library() -> None:
    """Let the jobs that this process starts import the same library."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))


def fingerprint(script: str | Path) -> str:
    """Hex digest of the script's code, of all homing modules it reaches, and of the templates beside them."""
    modules = sorted(reachable(script))
    templates = sorted(file for folder in {path.parent for path in modules} for file in folder.glob("templates/*"))
    parts = [_digest(path) for path in (Path(script), *modules)] + [sha256(file) for file in templates]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def reachable(script: str | Path) -> set[Path]:
    """The files of all homing modules that `script` imports, directly or through others."""
    found: set[Path] = set()
    waiting = [Path(script)]
    while waiting:
        for path in _imports(waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _digest(path: Path) -> str:
    tree = _tree(path)
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("homing."):
            names.add(node.value)
    files = {_module_file(name) for name in names if name.split(".")[0] == "homing"}
    return tuple(sorted(file for file in files if file))


def _module_file(name: str) -> Path | None:
    base = SOURCE.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
