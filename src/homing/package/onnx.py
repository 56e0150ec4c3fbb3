"""Export of a package as ONNX, from pixels to logits of cells and tasks, with a comparison with torch."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from homing.errors import HomingError
from homing.files import atomic_path, write_json
from homing.model.encoders import ImageEncoder
from homing.model.geolocator import Geolocator
from homing.model.images import normalise
from homing.package.export import ExportOptions, prepared
from homing.package.limits import check_absent
from homing.package.package import load_networks
from homing.tasks import REGRESSIONS

OPSET = 18
COMPARED = 64  # images
MAX_BYTES = 2_000_000_000  # of a protobuf file
EMBEDDING = "image_embedding"  # encoders use "embedding" inside the graph
TASK_OUTPUTS = ("climate", "month", "regression", "latitude", "longitude")


class PixelsToLogits(nn.Module):
    """From uint8 pixels (n, 3, s, s) to the embedding (n, d), the logits of cells (n, C) and optionally of tasks."""

    def __init__(self, geolocator: Geolocator, encoder: ImageEncoder, tasks: bool) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, geolocator.heads
        self.pooling, self.preprocessing = geolocator.pooling, geolocator.preprocessing
        self.names = ("cell", *(TASK_OUTPUTS if tasks else ()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the embedding and the outputs in `names`, in that order."""
        vectors = self.encoder(normalise(pixels, self.preprocessing), self.pooling)
        outputs = self.heads(vectors)
        return (vectors, *(outputs[name] for name in self.names))


def export_onnx(source: str | Path, path: Path, options: ExportOptions) -> dict[str, Any]:
    """Write the model to `path`, and beside it the meaning of its outputs as .json and .cells.csv; return the parity.

    Raises HomingError if the extra `onnx` is not installed or `path` exists.
    """
    _require_onnx()
    check_absent(path)
    with prepared(source, options) as layout:
        config = layout.read_config()
        geolocator, encoder = load_networks(layout)
    module = PixelsToLogits(geolocator, encoder, tasks=config["answers"] == "exact").eval()
    side = geolocator.preprocessing.side
    with atomic_path(path) as partial:
        _write(module, side, partial)
        parity = compare(module, side, partial)
        parity["megabytes"] = round(partial.stat().st_size / 1e6, 1)
    geolocator.cells.to_csv(path.with_suffix(".cells.csv"), index=False)
    write_json(path.with_suffix(".json"), _description(module, side, geolocator, config, parity))
    return parity


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise HomingError(f"--to onnx needs the package {error.name}: pip install homing[onnx]") from None


def _write(module: PixelsToLogits, side: int, path: Path) -> None:
    size = sum(value.numel() * value.element_size() for value in module.parameters())
    if size > MAX_BYTES:
        raise HomingError(f"the weights are {size / 1e9:.1f} GB, and one ONNX file holds 2; use --to hf")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns about optional libraries
    example = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        torch.onnx.export(
            module, (example,), path, dynamo=True, opset_version=OPSET, verbose=False, external_data=False,
            input_names=["pixels"], output_names=[EMBEDDING, *module.names],
            dynamic_shapes={"pixels": {0: torch.export.Dim("photos", min=1, max=4096)}},
        )  # fmt: skip


def compare(module: PixelsToLogits, side: int, path: Path) -> dict[str, Any]:
    """Return the differences between the outputs of ONNX Runtime and torch on synthetic images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = synthetic_images(COMPARED, side)
    with torch.inference_mode():
        ours = [value.numpy() for value in module(torch.from_numpy(images))]
    theirs = session.run(None, {"pixels": images})
    (vectors, cells), (other_vectors, other_cells) = ours[:2], theirs[:2]
    return {
        "pictures": COMPARED,
        "top1_equal_share": float((cells.argmax(axis=1) == other_cells.argmax(axis=1)).mean()),
        "largest_angle_degrees": float(angles_degrees(vectors, other_vectors).max()),
        "largest_difference": {
            name: float(np.abs(one.astype(np.float64) - other).max())
            for name, one, other in zip((EMBEDDING, *module.names), ours, theirs, strict=True)
        },
        "onnxruntime": onnxruntime.__version__,
    }


def synthetic_images(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Return images, uint8 (n, 3, side, side): sums of smooth random fields at several scales, like photos."""
    rng = np.random.default_rng(seed)
    total = torch.zeros(count, 3, side, side)
    for cells in (2, 4, 8, 16):
        coarse = torch.from_numpy(rng.normal(size=(count, 3, cells, cells)).astype(np.float32))
        total += nn.functional.interpolate(coarse, size=(side, side), mode="bicubic") * (2 / cells) ** 0.5
    return (128 + 64 * total).clamp(0, 255).to(torch.uint8).numpy()


def angles_degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the angles (n,) between rows, by their chord, which is exact for small angles too."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (np.float64(one), np.float64(other)))
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(one - other, axis=1) / 2, 0, 1)))


def _description(
    module: PixelsToLogits, side: int, geolocator: Geolocator, config: dict[str, Any], parity: dict[str, Any]
) -> dict[str, Any]:
    preprocessing = "the central square, bicubic and antialiased, RGB; the graph normalises"
    description = {
        "run": config["run"],
        "input": {"pixels": f"uint8 (photos, 3, {side}, {side}): {preprocessing}"},
        "outputs": [EMBEDDING, *module.names],
        "cells": "the columns of `cell` are the rows of the .cells.csv beside this file",
        "temperature": config["calibration"]["temperature"] if config["calibration"] else 1.0,
        "answers": config["answers"],
        "parity": parity,
        "versions": config["versions"] | {"torch_exporter": torch.__version__},
    }
    if len(module.names) > 1:
        scales = geolocator.scales
        description["regression"] = [
            {"name": name, "mean": scales.mean[name], "std": scales.std[name]} for name in REGRESSIONS
        ]
    return description
