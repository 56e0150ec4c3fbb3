"""The conda environments, the pip lock and the package's dependencies name the same packages at the same versions."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONDA_NAMES = {"pytorch": "torch", "h3-py": "h3"}
NOT_ON_PYPI = {"python", "gdal"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (ROOT / "envs/requirements.lock").read_text().splitlines()
    return {canonical(name): pin for name, pin in (line.split("==") for line in lines if not line.startswith("#"))}


@pytest.mark.parametrize("name", ["geo", "train"])
def test_conda_pins_are_the_pip_pins(name):
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    pins = dict(item.split("=") for item in environment["dependencies"] if "=" in item)
    pins = {
        canonical(CONDA_NAMES.get(package, package)): pin for package, pin in pins.items() if package not in NOT_ON_PYPI
    }
    assert len(pins) > 8
    assert pins == {package: locked()[package] for package in pins}


def test_every_dependency_of_the_package_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {canonical(re.split(r"[\[<>= ]", item)[0]) for item in wanted}
    assert names <= set(locked())


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

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == homing.__version__
