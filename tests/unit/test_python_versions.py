"""What a later Python has taken away is not used."""

import ast

import pytest

from homing.jobs.code import SOURCE

MODULES = sorted((SOURCE / "homing").rglob("*.py"))


@pytest.mark.parametrize("name", ["__annotations__", "__dataclass_fields__"])
def test_fields_are_read_by_dataclasses_fields(name):
    """Python 3.14 gives instances no `__annotations__`, and those of a class are made when they are asked for."""
    used = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == name
    ]
    assert MODULES and not used
