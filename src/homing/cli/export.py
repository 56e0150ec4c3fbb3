"""`homing export`: a model package in another format, whole or with coarser answers."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homing.errors import HomingError
from homing.package.layout import ANSWERS

FORMATS = ("package", "hf", "onnx")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Write the model of a finished run as a package, in the Hugging Face layout (hf) or as ONNX; "
        "see docs/predicting.md."
    )
    add = command.add_argument
    add("source", type=Path, metavar="RUN_OR_PACKAGE", help="folder results/runs/<run>, or a model package")
    add("--to", nargs=2, required=True, metavar=("FORMAT", "PATH"), help="package, hf or onnx, and a new path")
    add("--without-photos", action="store_true", help="leave out the index of training photos and round their places")
    add("--answers", choices=ANSWERS, default="exact",
        help="finest answers of the export (default: exact); region and country leave out the photos too")  # fmt: skip


def export(options: argparse.Namespace) -> int:
    """Export and print the size. Return the exit status."""
    from homing.package.export import ExportOptions, export_hugging_face, export_package
    from homing.package.onnx import export_onnx

    kind, path = options.to[0], Path(options.to[1])
    if kind not in FORMATS:
        raise HomingError(f"--to {kind}: must be one of {', '.join(FORMATS)}")
    wanted = ExportOptions(photos=not options.without_photos, answers=options.answers)
    if kind == "onnx":
        print_parity(export_onnx(options.source, path, wanted))
    else:
        (export_package if kind == "package" else export_hugging_face)(options.source, path, wanted)
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    print(f"{path}: {len(files)} files, {sum(one.stat().st_size for one in files) / 1e6:.1f} MB")
    return 0


def print_parity(parity: Mapping[str, Any]) -> None:
    """Print the differences between the ONNX model and the torch model."""
    against = f"ONNX Runtime {parity['onnxruntime']} against torch on {parity['pictures']} random images"
    angle = f"largest angle between embeddings {parity['largest_angle_degrees']:.2g} degrees"
    print(f"{against}: first cell equal in {parity['top1_equal_share']:.1%}, {angle}; largest differences")
    print(", ".join(f"{name} {value:.2g}" for name, value in parity["largest_difference"].items()))
