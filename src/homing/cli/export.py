"""`homing export`: a package handed on, whole or telling less."""

import argparse
from pathlib import Path

from homing.errors import HomingError
from homing.package.layout import ANSWERS

FORMATS = ("package", "hf", "onnx")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What the command takes."""
    command.description = (
        "Write a finished run's model as a package, in the Hugging Face layout (hf), or as ONNX; docs/predicting.md."
    )
    add = command.add_argument
    add("source", type=Path, metavar="RUN_OR_PACKAGE", help="results/runs/<run>, or a package")
    add("--to", nargs=2, required=True, metavar=("FORMAT", "PATH"), help="package, hf or onnx; and a path that is new")
    add("--without-photos", action="store_true", help="leave out the index of training photos, and round places")
    add("--answers", choices=ANSWERS, default="exact",
        help="the finest answers of the export (exact); region and country leave the photos out too")  # fmt: skip


def export(options: argparse.Namespace) -> int:
    """Write it, and say what it is."""
    from homing.package.export import Wish, export_hugging_face, export_package
    from homing.package.onnx import export_onnx

    kind, path = options.to[0], Path(options.to[1])
    if kind not in FORMATS:
        raise HomingError(f"--to {kind}: {', '.join(FORMATS)}")
    wish = Wish(photos=not options.without_photos, answers=options.answers)
    if kind == "onnx":
        print_parity(export_onnx(options.source, path, wish))
    else:
        (export_package if kind == "package" else export_hugging_face)(options.source, path, wish)
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    print(f"{path}: {len(files)} files, {sum(one.stat().st_size for one in files) / 1e6:.1f} MB")
    return 0


def print_parity(parity: dict) -> None:
    """How far the exported model is from ours."""
    against = f"ONNX Runtime {parity['onnxruntime']} against torch on {parity['pictures']} made-up pictures"
    angle = f"largest angle between embeddings {parity['largest_angle_degrees']:.2g} degrees"
    print(f"{against}: first cell equal in {parity['top1_equal_share']:.1%}, {angle}; largest differences")
    print(", ".join(f"{name} {value:.2g}" for name, value in parity["largest_difference"].items()))
