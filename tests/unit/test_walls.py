"""The walls between the rooms, read off the import graph: what is reached through other modules counts too.

Each test lists all offenders at once. `python benchmarks/structure.py` prints the floors and who imports whom.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import structure  # noqa: E402

GEO = {"geopandas", "shapely", "rasterio", "pyogrio", "dask", "distributed", "pyproj"}
MODEL = {"torch", "transformers", "accelerate"}
UNSAFE = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "os.system"}
TABLES = {"numpy", "pandas", "filelock", "jsonschema", "pyarrow", "requests", "tqdm", "yaml"}
NUMBERS = {"numba", "numpy", "pandas", "scipy", "sklearn", "threadpoolctl"}
MAY_REACH = {
    "sphere.py": {"numpy"},
    "captions": {"numpy", "pandas", "pyarrow"},
    "plan": TABLES,
    "doctor": TABLES,
    "evaluate": {"numba", "numpy", "pandas", "PIL", "pyarrow", "scipy"},
    "refine": NUMBERS,
    "package/places.py": NUMBERS,
    "package/layout.py": set(),
}
# Script -> a package that is not loaded before its first call, and one that is: each would start seconds later.
LOADED_LATE = {
    "pretrain_clip": ("transformers", "torch"),
    "embed_photos": ("transformers", "torch"),
    "finetune_geolocator": ("transformers", "torch"),
    "calibrate_classifier": ("transformers", "torch"),
    "predict_photos": ("transformers", "torch"),
    "fit_refinement": ("sklearn", "pandas"),
    "refine_predictions": ("sklearn", "pandas"),
    "read_out_predictions": ("sklearn", "pandas"),
}


def modules_of(place: str) -> list[Path]:
    """The files of a room, or the one file of that name."""
    whole = structure.LIBRARY / place
    return [path for path in structure.modules().values() if path == whole or whole in path.parents]


def loaded_at_once(path: Path) -> set[str]:
    """Packages that are imported before the first function is called."""
    found, waiting, seen = set(), [path], {path}
    while waiting:
        for node in structure.tree(waiting.pop()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = structure.named(node)
                new = {structure.modules()[name] for name in names & structure.modules().keys()} - seen
                seen |= new
                waiting += new
                found |= {name.split(".")[0] for name in names}
    return found


def test_every_room_stands_on_one_floor():
    assert sorted(room for floor in structure.floors() for room in floor) == structure.rooms()


def test_the_map_of_the_code_shows_the_rooms_on_their_floors():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    shown = sorted((int(floor), room) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.M))
    assert shown == sorted((number, room) for number, names in enumerate(structure.floors()) for room in names)


def test_the_map_of_the_code_shows_every_room_on_its_floor():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.M)
    assert sorted(shown) == sorted(
        (str(number), room) for number, names in enumerate(structure.floors()) for room in names
    )


def test_no_import_runs_back_up():
    assert structure.arrows_back(structure.module_graph()) == []


def test_neither_rooms_nor_modules_import_each_other_in_a_circle():
    graph = structure.module_graph()
    assert structure.circles(structure.room_graph(graph)) == []
    assert structure.circles(graph) == []


def test_what_is_against_the_structure_is_found():
    graph = {
        "homing.model.a": frozenset(["homing.refine.b"]),  # on the same floor
        "homing.refine.b": frozenset(["homing.sphere", "homing.cli.c"]),
        "homing.cli.c": frozenset(["homing.model.a"]),
        "homing.sphere": frozenset(),
    }
    assert structure.arrows_back(graph) == ["homing.model.a -> homing.refine.b", "homing.refine.b -> homing.cli.c"]
    assert structure.circles(graph) == [["homing.cli.c", "homing.model.a", "homing.refine.b"]]
    assert structure.circles(structure.room_graph(graph)) == [["cli", "model", "refine"]]


def test_functions_fit_on_a_screen():
    assert {name: lines for name, lines in structure.function_lengths().items() if lines > 60} == {}


def test_no_module_meets_both_halves():
    """The command line calls rooms of both, each imported late."""
    library = {path for path in structure.modules().values() if structure.LIBRARY / "cli" not in path.parents}
    found = {str(path): structure.reached(path) for path in library}
    assert {path: packages for path, packages in found.items() if packages & GEO and packages & MODEL} == {}
    assert sum(bool(packages & GEO) for packages in found.values()) > 20, "the geo half is no longer seen"
    assert sum(bool(packages & MODEL) for packages in found.values()) > 20, "the model half is no longer seen"


def test_no_room_knows_snakemake():
    assert [str(path) for path in structure.modules().values() if "snakemake" in structure.packages(path)] == []


def test_nothing_unpickles_or_runs_text():
    calls = {
        path: {ast.unparse(node.func) for node in ast.walk(structure.tree(path)) if isinstance(node, ast.Call)}
        for path in structure.modules().values()
    }
    assert {str(path): found & UNSAFE for path, found in calls.items() if found & UNSAFE} == {}


def test_small_rooms_stand_on_little():
    foreign = {}
    for place, allowed in MAY_REACH.items():
        paths = modules_of(place)
        assert paths, place
        foreign[place] = set().union(*map(structure.reached, paths)) - allowed - {"homing"} - sys.stdlib_module_names
    assert {place: found for place, found in foreign.items() if found} == {}


def test_a_job_does_not_wait_for_what_it_never_calls():
    """They launch others, answer embeddings, or read an index."""
    loaded = {script: loaded_at_once(ROOT / f"workflow/scripts/{script}.py") for script in LOADED_LATE}
    assert {script: late for script, (late, _) in LOADED_LATE.items() if late in loaded[script]} == {}
    assert {script: present for script, (_, present) in LOADED_LATE.items() if present not in loaded[script]} == {}


def test_the_benchmark_of_training_stands_on_torch_transformers_and_accelerate_alone():
    """As on a machine with a GPU and nothing else of ours."""
    absent = [*GEO, "pandas", "pyarrow", "scipy", "sklearn", "numba", "matplotlib", "PIL", "simplejpeg", "pillow_heif"]
    folder = str(ROOT / "benchmarks")
    program = f"import sys; sys.modules |= dict.fromkeys({absent}); sys.path.insert(0, {folder!r}); import training"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
