"""Python, packages, GPU and driver, GDAL and PROJ."""

import re
import shutil
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version

from homing.doctor.checks import Check, ask, ask_python, fail, listed, ok, warn
from homing.shipped import ROOT

OLDEST_PYTHON = (3, 11)
ALSO_NEEDED = ("snakemake", "snakemake-executor-plugin-slurm")
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
MOLLWEIDE = (760_633, 5_873_472)  # 50 N 10 E, metres, to within a kilometre


def python() -> Check:
    """The interpreter."""
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return fail("Python", found, "make PYTHON=python3.11 env")
    return ok("Python", found)


def packages() -> Check:
    """What is installed against envs/requirements.lock."""
    pins = dict(
        line.split("==")
        for line in (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    here = {name: installed(name) for name in pins}
    absent = [name for name in here if here[name] is None]
    other = [f"{name} {here[name]} (pinned {pins[name]})" for name in pins if here[name] not in (None, pins[name])]
    needed = {canonical(name) for name in (*dependencies(), *ALSO_NEEDED)}
    vital = [name for name in absent if canonical(name) in needed]
    if vital:
        return fail("packages", f"missing: {listed(vital)}", "make env")
    if absent or other:
        told = [f"not installed: {listed(absent)}"] * bool(absent) + [f"other versions: {listed(other)}"] * bool(other)
        return warn("packages", "; ".join(told), "make env")
    return ok("packages", f"all {len(pins)} as pinned in envs/requirements.lock")


def dependencies() -> list[str]:
    """Names of the packages the library imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[\[<>= ]", item)[0] for item in project["dependencies"]]


def canonical(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(name: str) -> str | None:
    """Version of an installed package, without what names its build."""
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def gpu(wanted_here: int, bf16: bool) -> Check:
    """The GPUs torch sees; `wanted_here`: how many a job of this machine asks for (0: none, or jobs run elsewhere)."""
    driver = ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    told = driver.text.splitlines()[0] if driver and driver.good and driver.text else None
    seen = ask_python(TORCH)
    if isinstance(seen, str):
        return fail("GPU", f"torch cannot be used: {seen}", "make env")
    gpus = seen["gpus"]
    if gpus:
        found = f"{len(gpus)} x {gpus[0]['name']}, {gpus[0]['gb']:.0f} GB, driver {told}, torch {seen['torch']}"
        if len(gpus) < wanted_here:
            return fail(
                "GPU", f"{found}; {wanted_here} are asked for", "set gpus_per_node and processes_per_node lower"
            )
        if bf16 and gpus[0]["capability"] < BF16_CAPABILITY:
            return warn("GPU", f"{found}; it has no bf16", "mixed_precision: fp16 of pretrain, embed and finetune")
        return ok("GPU", found)
    if told:
        cure = f"pip install a torch built for CUDA (this is {seen['torch']}), or a newer driver"
        return warn("GPU", f"driver {told}, but torch {seen['torch']} sees no GPU", cure)
    trouble = "" if driver is None or driver.good else f" (nvidia-smi: {driver.text})"
    if wanted_here:
        cure = "take a machine with GPUs, a profile of a cluster, or set gpus_per_node: 0"
        return fail("GPU", f"none{trouble}; the configuration asks for {wanted_here}", cure)
    return ok("GPU", f"none on this machine{trouble}; torch {seen['torch']} computes on the CPU")


def gdal() -> Check:
    """GDAL reads and writes our formats, and PROJ finds its data."""
    found = ask_python(GDAL)
    if isinstance(found, str):
        return fail("GDAL and PROJ", found, "make env; unset GDAL_DATA PROJ_DATA PROJ_LIB if another GDAL set them")
    told = f"GDAL {found['gdal']}, PROJ {found['proj']}"
    if not (found["tif"] and found["gpkg"]):
        return fail("GDAL and PROJ", f"{told}: no driver for GeoTIFF or GeoPackage", "make env")
    if any(abs(ours - true) > 1000 for ours, true in zip(found["metres"], MOLLWEIDE, strict=True)):
        return fail("GDAL and PROJ", f"{told}: a projection is wrong", "unset PROJ_DATA PROJ_LIB")
    return ok("GDAL and PROJ", told)


def git() -> Check:
    """For the commit in each run's provenance."""
    if shutil.which("git"):
        return ok("git", "found")
    return warn("git", "not on PATH: runs do not know the commit they come from", "apt-get install git")
