"""Code counts definition by definition: what a script reaches changes its fingerprint, and nothing else does."""

import subprocess
import sys
import textwrap

import pytest

from homing.jobs import code


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small homing library in a folder of its own: a script imports alpha, which imports beta inside a function."""
    package = tmp_path / "src/homing"
    (package / "jobs").mkdir(parents=True)
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources/facts.csv").write_text("name\nfirst\n")
    files = {
        "__init__.py": "",
        "alpha.py": """
            import math

            from homing import delta
            from homing.jobs.retries import kept

            SCALE = 2

            def first():
                from homing.beta import second
                return second() + delta.third() * SCALE

            def unused():
                return math.pi
        """,
        "beta.py": "def second():\n    return 2\n\ndef unused():\n    return 1\n",
        "gamma.py": """
            def launched():
                return open("facts.csv").read()

            if __name__ == "__main__":
                launched()
        """,
        "delta.py": "from math import floor as rounded\n\ndef third():\n    return rounded(3.5)\n",
        "jobs/__init__.py": "",
        "jobs/retries.py": "kept = 1\n",
    }
    for name, text in files.items():
        (package / name).write_text(textwrap.dedent(text))
    (tmp_path / "script.py").write_text("import numpy\nfrom homing.alpha import first\nfirst('homing.gamma')\n")
    monkeypatch.setattr(code, "SOURCE", tmp_path / "src")
    return tmp_path


def fresh(path) -> str:
    for cached in (code._analysed, code._module_file, code.fingerprint):
        cached.cache_clear()
    return code.fingerprint(path)


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_script_reaches_definitions_through_imports_inside_functions_and_through_names_in_strings(library):
    found = {path.name: names - {code.AT_IMPORT} for path, names in code.reachable(library / "script.py").items()}
    assert found["alpha.py"] == {"first", "SCALE"} and found["beta.py"] == {"second"} and found["delta.py"] == {"third"}
    assert found["gamma.py"] == {"launched", "__main__"}
    assert "retries.py" not in found


COUNTS = {
    "a function that is called": ("src/homing/beta.py", "return 2", "return 5"),
    "a constant that is used": ("src/homing/alpha.py", "SCALE = 2", "SCALE = 3"),
    "what an alias stands for": ("src/homing/delta.py", "import floor as", "import ceil as"),
    "what is launched": ("src/homing/gamma.py", "    launched()\n", "    launched(), launched()\n"),
    "a table of resources that it names": ("resources/facts.csv", "first", "second"),
    "the script itself": ("script.py", "first('homing.gamma')", "first('homing.gamma') + 1"),
    "what is set at import": ("src/homing/delta.py", "def third", "rounded.limit = 9\n\ndef third"),
    "what runs at import": ("src/homing/beta.py", "def unused", "print('imported')\n\ndef unused"),
}
DOES_NOT = {
    "comments, docstrings, brackets": ("src/homing/beta.py", "return 2", '"""Two."""\n    # why\n    return (2)'),
    "annotations": ("src/homing/beta.py", "def second():", "def second() -> int:"),
    "an unused function": ("src/homing/alpha.py", "math.pi", "math.e"),
    "a new constant": ("src/homing/beta.py", "def second", "EXTRA = 1\n\ndef second"),
    "an unused import": ("src/homing/alpha.py", "import math\n", "import math\nimport sys\n"),
    "what retries jobs": ("src/homing/jobs/retries.py", "kept = 1", "kept = 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_what_changes_a_result_counts(library, name):
    before = fresh(library / "script.py")
    path, old, new = COUNTS[name]
    edit(library / path, old, new)
    assert fresh(library / "script.py") != before


@pytest.mark.parametrize("name", DOES_NOT)
def test_what_changes_no_result_does_not(library, name):
    before = fresh(library / "script.py")
    path, old, new = DOES_NOT[name]
    edit(library / path, old, new)
    assert fresh(library / "script.py") == before


def test_the_digest_is_the_same_in_another_folder_and_with_kept_findings(library, tmp_path):
    before = fresh(library / "script.py")
    assert (library / "src" / code.ANALYSED).is_file()
    assert fresh(library / "script.py") == before


def test_every_rule_script_has_a_fingerprint_of_its_own(request):
    scripts = sorted((request.config.rootpath / "workflow/scripts").glob("*.py"))
    assert len(scripts) > 15
    assert len({code.fingerprint(script) for script in scripts}) == len(scripts)


@pytest.mark.parametrize("script", ["import_photos", "label_photos", "make_geocells", "write_captions"])
def test_a_rule_does_not_depend_on_rooms_it_never_enters(request, script):
    reached = code.reachable(request.config.rootpath / f"workflow/scripts/{script}.py")
    library = code.SOURCE / "homing"
    rooms = {path.relative_to(library).parts[0] for path in reached if path.is_relative_to(library)}
    assert not rooms & {"model", "training", "refine", "report", "toyplanet", "cli", "jobs"}


@pytest.mark.parametrize("stage", ["pretrain_clip", "finetune_geolocator"])
def test_a_training_rule_depends_on_the_module_it_launches_and_not_on_how_it_is_launched(request, stage):
    reached = code.reachable(request.config.rootpath / f"workflow/scripts/{stage}.py")
    names = {path.name for path in reached}
    assert {f"{stage.split('_')[0]}.py", "losses.py", "loop.py"} <= names
    assert not names & {"retries.py", "accelerate.py", "processes.py", "reporter.py", "meter.py", "errors.py"}


def test_the_tables_that_a_rule_reads_count(request):
    scripts = request.config.rootpath / "workflow/scripts"
    named = {script: {file.split("/")[-1] for file in code.what_counts(scripts / f"{script}.py")} for script in
             ("write_captions", "prepare_boundaries", "evaluate_predictions")}  # fmt: skip
    assert "koppen_classes.csv" in named["write_captions"]
    assert "settled_codes.csv" in named["prepare_boundaries"]
    assert "koppen_classes.csv" not in named["prepare_boundaries"]


def test_what_counts_can_be_printed(request):
    script = request.config.rootpath / "workflow/scripts/write_captions.py"
    command = [sys.executable, "-m", "homing.jobs.code", script]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "homing/captions/clues.py" in printed and "write_clues" in printed and "koppen_classes.csv" in printed
