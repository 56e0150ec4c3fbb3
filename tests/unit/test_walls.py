"""The walls between the rooms, read off the import graph: reached through others counts too."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from homing.jobs import code

LIBRARY = code.SOURCE / "homing"
GEO = {"geopandas", "shapely", "rasterio", "pyogrio", "dask", "distributed", "pyproj"}
MODEL = {"torch", "transformers", "accelerate"}
MODULES = sorted(LIBRARY.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


@cache
def packages(path: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return frozenset(found)


def reached(path: Path) -> set[str]:
    """Packages imported by a module or by any homing module it imports, at the top or inside a function."""
    return set().union(*(packages(module) for module in {path, *code.reachable(path)}))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_meets_both_halves(path):
    if name(path).startswith("cli/"):
        pytest.skip("the command line calls rooms of both halves, each imported late")
    found = reached(path)
    assert not (found & GEO and found & MODEL), f"{name(path)} reaches {sorted(found & (GEO | MODEL))}"


def loaded_at_once(path: Path) -> set[str]:
    """Packages that are imported before the first function is called."""
    found, waiting, seen = set(), [path], {path}
    while waiting:
        for node in ast.parse(waiting.pop().read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = code._imports(ast.Module([node], []))
                new = {code._module_file(own) for own in names} - seen - {None}
                seen |= new
                waiting += new
                found |= {alias.name.split(".")[0] for alias in node.names if isinstance(node, ast.Import)}
                found |= {node.module.split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
    return found


@pytest.mark.parametrize(
    ("script", "absent", "present"),
    [
        ("pretrain_clip", "transformers", "torch"),
        ("embed_photos", "transformers", "torch"),
        ("finetune_geolocator", "transformers", "torch"),
        ("calibrate_classifier", "transformers", "torch"),
        ("predict_photos", "transformers", "torch"),
        ("fit_refinement", "sklearn", "pandas"),
        ("refine_predictions", "sklearn", "pandas"),
        ("read_out_predictions", "sklearn", "pandas"),
    ],
)
def test_a_job_does_not_wait_for_what_it_never_calls(request, script, absent, present):
    """They launch others, answer embeddings, or read an index: each would be seconds later."""
    loaded = loaded_at_once(request.config.rootpath / f"workflow/scripts/{script}.py")
    assert absent not in loaded and present in loaded


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_room_knows_snakemake(path):
    assert "snakemake" not in packages(path)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_unpickles_or_runs_text(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "os.system"}


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("sphere.py", {"numpy"}),
        ("captions", {"numpy", "pandas", "pyarrow"}),
        ("plan", {"numpy", "pandas", "filelock", "jsonschema", "pyarrow", "requests", "tqdm", "yaml"}),
        ("doctor", {"numpy", "pandas", "filelock", "jsonschema", "pyarrow", "requests", "tqdm", "yaml"}),
        ("evaluate", {"numba", "numpy", "pandas", "PIL", "pyarrow", "scipy"}),
        ("refine", {"numba", "numpy", "pandas", "scipy", "sklearn", "threadpoolctl"}),
        ("package/readouts.py", {"numba", "numpy", "pandas", "scipy", "sklearn", "threadpoolctl"}),
        ("package/layout.py", set()),
    ],
)
def test_small_rooms_stand_on_little(room, allowed):
    paths = [path for path in MODULES if name(path) == room or name(path).startswith(f"{room}/")]
    assert paths
    foreign = set().union(*(reached(path) for path in paths)) - allowed - {"homing"} - sys.stdlib_module_names
    assert not foreign


def test_the_benchmark_of_training_stands_on_torch_transformers_and_accelerate_alone():
    """As on a machine with a GPU and nothing else of ours."""
    absent = [*GEO, "pandas", "pyarrow", "scipy", "sklearn", "numba", "matplotlib", "PIL", "simplejpeg", "pillow_heif"]
    folder = LIBRARY.parents[1] / "benchmarks"
    code = f"import sys; sys.modules |= dict.fromkeys({absent}); sys.path.insert(0, {str(folder)!r}); import training"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
