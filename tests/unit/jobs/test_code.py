"""Fingerprints follow the code that runs: comments, docstrings and layout do not count, a changed expression does."""

import textwrap

import pytest

from homing.jobs import code


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small homing library in a folder of its own: a script imports alpha, which imports beta inside a function."""
    package = tmp_path / "homing"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "alpha.py").write_text("def first():\n    from homing.beta import second\n    return second() + 1\n")
    (package / "beta.py").write_text("def second():\n    return 2\n")
    (package / "gamma.py").write_text("def unused():\n    return 3\n")
    (tmp_path / "script.py").write_text("import numpy\nfrom homing.alpha import first\nfirst()\n")
    monkeypatch.setattr(code, "SOURCE", tmp_path)
    return tmp_path


def fresh(path) -> str:
    for cached in (code._findings, code._module_file):
        cached.cache_clear()
    return code.fingerprint(path)


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_reaches_modules_through_imports_inside_functions(library):
    assert {path.name for path in code.reachable(library / "script.py")} == {"alpha.py", "beta.py"}


def test_code_counts_and_comments_do_not(library):
    script, beta = library / "script.py", library / "homing/beta.py"
    before = fresh(script)
    edit(beta, "    return 2\n", '    """Two, always."""\n\n    # the smallest prime\n    return (2)\n')
    assert fresh(script) == before
    edit(library / "homing/gamma.py", "3", "4")
    assert fresh(script) == before
    edit(beta, "(2)", "5")
    assert fresh(script) != before


def test_the_script_itself_counts(library):
    script = library / "script.py"
    before = fresh(script)
    script.write_text("# a comment\n" + script.read_text())
    assert fresh(script) == before
    edit(script, "first()\n", "first() + 1\n")
    assert fresh(script) != before


def test_a_docstring_alone_is_a_body(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent('class Empty:\n    """Nothing."""\n'))
    assert fresh(path) == fresh(path)


def test_every_rule_script_has_a_fingerprint_of_its_own(request):
    scripts = sorted((request.config.rootpath / "workflow/scripts").glob("*.py"))
    assert len(scripts) > 15
    assert len({code.fingerprint(script) for script in scripts}) == len(scripts)


@pytest.mark.parametrize("script", ["import_photos", "label_photos", "make_geocells", "write_captions"])
def test_a_rule_does_not_depend_on_rooms_it_never_enters(request, script):
    reached = code.reachable(request.config.rootpath / f"workflow/scripts/{script}.py")
    rooms = {path.relative_to(code.SOURCE / "homing").parts[0] for path in reached}
    assert not rooms & {"model", "training", "refine", "report", "toyplanet", "cli"}


@pytest.mark.parametrize("stage", ["pretrain_clip", "finetune_geolocator"])
def test_a_training_rule_depends_on_the_module_it_launches(request, stage):
    reached = code.reachable(request.config.rootpath / f"workflow/scripts/{stage}.py")
    assert {f"{stage.split('_')[0]}.py", "losses.py", "loop.py"} <= {path.name for path in reached}
