"""The conda environments, the pip lock, the package's dependencies and the Python versions agree with each other."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from itertools import chain
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import rasterio
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONDA_NAMES = {"pytorch": "torch", "h3-py": "h3"}
NOT_ON_PYPI = {"python", "gdal"}
# Attributes, by their owner, that Python 3.12 to 3.14 removed, deprecated or gave another meaning.
GONE = {
    "ast": {"Num", "Str", "Bytes", "NameConstant", "Ellipsis", "Index", "ExtSlice"},
    "datetime": {"utcnow", "utcfromtimestamp"},
    "pkgutil": {"get_loader", "find_loader", "ImpImporter"},
    "asyncio": {"get_event_loop", "get_event_loop_policy", "set_event_loop_policy"},
    "abc": {"ByteString"},
    "typing": {"ByteString"},
    "locale": {"resetlocale"},
    "multiprocessing": {"Process", "Pool", "Queue", "Manager"},  # by the default start method: get_context names one
    "self": {"__annotations__"},
}
GONE_MODULES = {"imp", "distutils", "asynchat", "asyncore", "cgi", "crypt", "pipes", "telnetlib", "pkg_resources"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (ROOT / "envs/requirements.lock").read_text().splitlines()
    return {canonical(name): pin for name, pin in (line.split("==") for line in lines if not line.startswith("#"))}


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements() -> dict[str, str]:
    """Lower bounds of all dependencies, those of the extras too, by canonical name."""
    project = settings()["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    found = [re.fullmatch(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)", item) for item in wanted]
    assert all(found), "every dependency has a lower bound and nothing else"
    return {canonical(match[1]): match[2] for match in found}


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


@cache
def trees(*folders: str) -> dict[Path, ast.Module]:
    """The syntax trees of all Python files in the folders."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imported(*folders: str) -> set[str]:
    """Names of the modules, at the top level, that the files in the folders import."""
    found = set()
    for tree in trees(*folders).values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("name", ["geo", "train"])
def test_conda_pins_are_the_pip_pins(name):
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    pins = dict(item.split("=") for item in environment["dependencies"])
    pins = {
        canonical(CONDA_NAMES.get(package, package)): pin for package, pin in pins.items() if package not in NOT_ON_PYPI
    }
    assert len(pins) > 8
    assert pins == {package: locked()[package] for package in pins}


def test_conda_has_the_newest_gdal_of_the_wheels():
    """Conda's packages share one GDAL; the wheels of pip each bundle their own."""
    environment = yaml.safe_load((ROOT / "envs/geo.yaml").read_text())
    (pin,) = [item.split("=")[1] for item in environment["dependencies"] if item.startswith("gdal=")]
    bundled = [numbers(text)[:2] for text in (rasterio.__gdal_version__, pyogrio.__gdal_version_string__)]
    assert numbers(pin) == max(bundled)


def test_every_dependency_is_locked_at_its_lower_bound_or_above():
    pins = locked()
    assert not {name for name, bound in requirements().items() if numbers(pins[name]) < numbers(bound)}


def test_every_lower_bound_has_a_reason():
    block = (ROOT / "pyproject.toml").read_text().split("dependencies = [")[1].split("[project.urls]")[0]
    lines = [line for line in block.splitlines() if ">=" in line]
    assert len(lines) > 30 and all(re.search(r">=.*# \w", line) for line in lines)


def test_every_package_that_is_imported_is_declared():
    distributions = packages_distributions()
    foreign = imported("src", "workflow") - set(sys.stdlib_module_names) - {"homing"}
    needed = {module: {canonical(name) for name in distributions.get(module, [module])} for module in foreign}
    declared = {*requirements(), "distributed"}  # dask[distributed]
    assert not {module for module, names in needed.items() if not names & declared}


def test_messages_name_only_programs_that_the_packages_bring():
    """GDAL's wheels bring none of its programs; `rio` comes with rasterio."""
    programs = re.compile(r"\b(gdal_?(edit|info|warp|_translate|calc)\w*|ogr2ogr|ogrinfo)\b")
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    assert len(sources) > 200
    assert not [path.name for path in sources if programs.search(path.read_text(encoding="utf-8"))]


def test_what_is_installed_is_what_is_locked():
    def installed(name: str) -> str | None:
        try:
            return version(name).split("+")[0]
        except PackageNotFoundError:
            return None

    different = {name: installed(name) for name, pin in locked().items() if installed(name) not in (pin, None)}
    assert not different, "run `make env`"


def test_the_wheel_says_the_same_version():
    import homing

    assert settings()["project"]["version"] == homing.__version__


def test_the_oldest_python_is_the_same_everywhere():
    found = settings()
    oldest = found["project"]["requires-python"].removeprefix(">=")
    assert found["tool"]["mypy"]["python_version"] == oldest
    assert found["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    classifiers = found["project"]["classifiers"]
    versions = [text.rsplit(" ", 1)[1] for text in classifiers if re.search(r":: 3\.\d+$", text)]
    assert versions == [f"3.{minor}" for minor in range(int(oldest.split(".")[1]), 15)]


def test_nothing_is_used_that_newer_pythons_lack():
    """Up to Python 3.14; the tests run with 3.11."""
    used = set()
    for path, tree in trees("src", "workflow", "benchmarks").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value).rsplit(".", 1)[-1]
                used |= {f"{path.name}: {owner}.{node.attr}"} if node.attr in GONE.get(owner, ()) else set()
            elif isinstance(node, ast.keyword) and node.arg == "onerror":  # of shutil.rmtree, gone in 3.14
                used.add(f"{path.name}: onerror")
    assert not used
    assert not imported("src", "workflow", "benchmarks") & GONE_MODULES
