"""The mutation check changes what it says, one expression at a time, and knows where the rooms' lines and tests are."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import mutations  # noqa: E402

SOURCE = '''
def f(latitude, longitude, values: list[int] | None = None):
    """Return -1 < 2."""
    log.info("%d", 2 - 1)
    if not values or latitude < -30:
        raise ValueError("2 < 3")
    return g(latitude, longitude, axis=1) + np.maximum(values[1:], 1.5).argmin()
'''


def after(mutant: mutations.Mutant, source: bytes) -> bytes:
    return source[: mutant.start] + mutant.after.encode() + source[mutant.end :]


def test_each_kind_of_change_is_made_and_messages_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "src/homing").mkdir(parents=True)
    (tmp_path / "src/homing/module.py").write_text(SOURCE)
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    found = mutations.mutants_of("room", "module.py")
    assert {(mutant.kind, mutant.before, mutant.after) for mutant in found} == {
        ("and/or", "not values or latitude < -30", "((not values) and (latitude < -30))"),
        ("not", "not values", "(values)"),
        ("comparison", "latitude < -30", "(latitude <= -30)"),
        ("minus", "-30", "(30)"),
        ("plus/minus 1", "30", "31"), ("plus/minus 1", "30", "(29)"),
        ("factor 2", "30", "60"), ("factor 2", "30", "15"),
        ("lat/lon", "g(latitude, longitude, axis=1)", "g(longitude, latitude, axis=1)"),
        ("min/max", "np.maximum", "np.minimum"),
        ("min/max", "np.maximum(values[1:], 1.5).argmin", "np.maximum(values[1:], 1.5).argmax"),
        ("slice", "1", "1 + 1"),
        ("plus/minus 1", "1", "2"), ("plus/minus 1", "1", "(0)"), ("factor 2", "1", "2"), ("factor 2", "1", "0"),
        ("factor 2", "1.5", "3.0"), ("factor 2", "1.5", "0.75"),
    }  # fmt: skip
    for mutant in found:
        assert SOURCE[mutant.start : mutant.end].split() == mutant.before.split()
        assert ast.dump(ast.parse(after(mutant, SOURCE.encode()))) != ast.dump(ast.parse(SOURCE))


@pytest.mark.parametrize("room", mutations.ROOMS)
def test_mutants_of_a_room_are_drawn_evenly_and_alike_each_time(room):
    drawn = mutations.draw([room], 24, seed=1)
    assert len(drawn) == len(set(drawn)) == 24 and drawn == mutations.draw([room], 24, seed=1)
    assert drawn != mutations.draw([room], 24, seed=2) and len({mutant.kind for mutant in drawn}) >= 7
    for mutant in drawn:
        ast.parse(after(mutant, (ROOT / mutations.LIBRARY / mutant.module).read_bytes()))
    missing = [name for name in mutations.ROOMS[room].tests if not (ROOT / "tests/unit" / name).is_file()]
    assert missing == []
