"""Checks of Python, packages, GPU and driver, GDAL and PROJ, git."""

import re
import shutil
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version

from homing.doctor.checks import Check, ask, ask_python, fail, install_command, listed, ok, warn
from homing.plan.jobs import INSTALL_WORKFLOW, has_snakemake
from homing.shipped import ROOT

OLDEST_PYTHON = (3, 11)
WORKFLOW_PACKAGES = ("snakemake", "snakemake-executor-plugin-slurm")
BF16_CAPABILITY = [8, 0]  # compute capability of Ampere, the first with bf16

TORCH = """
import json, torch
found = torch.cuda.is_available()
gpus = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())] if found else []
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda,
    "gpus": [{"name": g.name, "gb": g.total_memory / 1e9, "capability": [g.major, g.minor]} for g in gpus],
}))
"""
GDAL = """
import json, pyogrio, pyproj, rasterio
from rasterio.drivers import raster_driver_extensions
x, y = pyproj.Transformer.from_crs("EPSG:4326", "ESRI:54009", always_xy=True).transform(10.0, 50.0)
print(json.dumps({
    "gdal": rasterio.__gdal_version__, "proj": pyproj.proj_version_str, "metres": [x, y],
    "tif": "tif" in raster_driver_extensions(), "gpkg": "w" in pyogrio.list_drivers().get("GPKG", ""),
}))
"""
MOLLWEIDE = (760_633, 5_873_472)  # 50 N 10 E in metres, to within a kilometre


def python() -> Check:
    """Check the version of the interpreter."""
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return fail("Python", found, "install Python 3.11 or newer, then make PYTHON=python3.11 env")
    return ok("Python", found)


def packages() -> Check:
    """Check the installed packages against envs/requirements.lock."""
    pins = dict(
        line.split("==")
        for line in (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    here = {name: installed(name) for name in pins}
    absent = [name for name in here if here[name] is None]
    other = [f"{name} {here[name]} (pinned {pins[name]})" for name in pins if here[name] not in (None, pins[name])]
    needed = {canonical(name) for name in dependencies()}
    vital = [name for name in absent if canonical(name) in needed]
    if vital:
        return fail("packages", f"missing: {listed(vital)}", install_environment())
    if absent or other:
        found = [f"not installed: {listed(absent)}"] * bool(absent) + [f"other versions: {listed(other)}"] * bool(other)
        return warn("packages", "; ".join(found), install_environment())
    return ok("packages", f"all {len(pins)} as pinned in envs/requirements.lock")


def install_environment() -> str:
    """Return the command that installs the pinned packages: make in a clone, else pip."""
    if (ROOT / "Makefile").is_file() and shutil.which("make"):
        return "make env"
    return f"{sys.executable} -m pip install -r {ROOT / 'envs/requirements.lock'}"


def workflow() -> Check:
    """Check that Snakemake and its SLURM plugin, an extra of the package, are installed."""
    here = {name: installed(name) for name in WORKFLOW_PACKAGES}
    absent = [name for name, found in here.items() if found is None]
    if not has_snakemake() or "snakemake" in absent:
        return fail("Snakemake", "not installed; predictions work without it, runs do not", INSTALL_WORKFLOW)
    found = ", ".join(f"{name} {version}" for name, version in here.items() if version)
    return warn("Snakemake", f"{found}; no {absent[0]}", INSTALL_WORKFLOW) if absent else ok("Snakemake", found)


def dependencies() -> list[str]:
    """Return the names of the packages that the library imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[\[<>= ]", item)[0] for item in project["dependencies"]]


def canonical(name: str) -> str:
    """Return the name of a package as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(name: str) -> str | None:
    """Return the version of an installed package without the name of its build; None if it is not installed."""
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def gpu(needed: int, bf16: bool) -> Check:
    """Check the GPUs that torch sees against the number that a job on this machine needs (0 if jobs run elsewhere)."""
    driver = ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    driver_version = driver.text.splitlines()[0] if driver and driver.good and driver.text else None
    seen = ask_python(TORCH)
    if isinstance(seen, str):
        return fail("GPU", f"torch cannot be imported: {seen}", install_environment())
    gpus = seen["gpus"]
    if gpus:
        found = f"{len(gpus)} x {gpus[0]['name']}, {gpus[0]['gb']:.0f} GB, driver {driver_version}"
        found += f", torch {seen['torch']}"
        if len(gpus) < needed:
            return fail("GPU", f"{found}; {needed} are needed", "reduce gpus_per_node and processes_per_node")
        if bf16 and gpus[0]["capability"] < BF16_CAPABILITY:
            return warn("GPU", f"{found}; it has no bf16", "mixed_precision: fp16 in pretrain, embed and finetune")
        return ok("GPU", found)
    if driver_version:
        fix = f"install a torch built for CUDA (this is {seen['torch']}), or a newer driver"
        return warn("GPU", f"driver {driver_version}, but torch {seen['torch']} sees no GPU", fix)
    trouble = "" if driver is None or driver.good else f" (nvidia-smi: {driver.text})"
    if needed:
        fix = "use a machine with GPUs, or a profile of a cluster, or set gpus_per_node: 0"
        return fail("GPU", f"none{trouble}; the configuration needs {needed}", fix)
    return ok("GPU", f"none on this machine{trouble}; torch {seen['torch']} computes on the CPU")


def gdal() -> Check:
    """Check that GDAL reads and writes our formats, and that PROJ finds its data."""
    found = ask_python(GDAL)
    if isinstance(found, str):
        unset = "unset GDAL_DATA PROJ_DATA PROJ_LIB if another GDAL set them"
        return fail("GDAL and PROJ", found, f"{install_environment()}; {unset}")
    versions = f"GDAL {found['gdal']}, PROJ {found['proj']}"
    if not (found["tif"] and found["gpkg"]):
        return fail("GDAL and PROJ", f"{versions}: no driver for GeoTIFF or GeoPackage", install_environment())
    if any(abs(ours - true) > 1000 for ours, true in zip(found["metres"], MOLLWEIDE, strict=True)):
        return fail("GDAL and PROJ", f"{versions}: a projection gives wrong coordinates", "unset PROJ_DATA PROJ_LIB")
    return ok("GDAL and PROJ", versions)


def git() -> Check:
    """Check for git, from which the provenance of a run has its commit."""
    if shutil.which("git"):
        return ok("git", "found")
    return warn("git", "not on PATH: the provenance of runs has no commit", install_command("git"))
