"""A package as ONNX: pixels in, logits of cells and tasks out, compared with torch before it is handed on."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from homing.errors import HomingError
from homing.files import atomic_path, write_json
from homing.model.geolocator import Geolocator, load_geolocator
from homing.model.images import normalise
from homing.package.export import Wish, prepared
from homing.package.limits import check_empty
from homing.tasks import REGRESSIONS

OPSET = 18
COMPARED = 64  # pictures
MOST_BYTES = 2_000_000_000  # of one protobuf
EMBEDDING = "image_embedding"  # a plain "embedding" is a name that encoders have inside
TASK_OUTPUTS = ("climate", "month", "regression", "latitude", "longitude")


class PixelsToLogits(nn.Module):
    """uint8 pixels (n, 3, s, s) to the embedding (n, d), the logits of cells (n, C), and where asked of the tasks."""

    def __init__(self, geolocator: Geolocator, tasks: bool) -> None:
        super().__init__()
        self.encoder, self.heads = geolocator.encoder, geolocator.heads
        self.pooling, self.preprocessing = geolocator.pooling, geolocator.preprocessing
        self.names = ("cell", *(TASK_OUTPUTS if tasks else ()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The embedding, then what `names` says, in that order."""
        vectors = self.encoder(normalise(pixels, self.preprocessing), self.pooling)
        outputs = self.heads(vectors)
        return (vectors, *(outputs[name] for name in self.names))


def export_onnx(source: str | Path, path: Path, wish: Wish) -> dict[str, Any]:
    """Write the model to `path`, what its outputs mean beside it as .json and .cells.csv; returns the parity found.

    Raises HomingError when the extra `onnx` is not installed or `path` exists.
    """
    _require_onnx()
    check_empty(path)
    with prepared(source, wish) as layout:
        config = layout.config_alone()
        geolocator = load_geolocator(layout.own, layout.encoder)
    module = PixelsToLogits(geolocator, tasks=config["answers"] == "exact").eval()
    side = geolocator.preprocessing.side
    with atomic_path(path) as partial:
        _write(module, side, partial)
        parity = compare(module, side, partial)
        parity["megabytes"] = round(partial.stat().st_size / 1e6, 1)
    geolocator.cells.to_csv(path.with_suffix(".cells.csv"), index=False)
    write_json(path.with_suffix(".json"), _described(module, side, geolocator, config, parity))
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
    if size > MOST_BYTES:
        raise HomingError(f"the weights are {size / 1e9:.1f} GB, and one ONNX file holds 2; use --to hf")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells which libraries are not there
    example = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own parts
        torch.onnx.export(
            module, (example,), path, dynamo=True, opset_version=OPSET, verbose=False, external_data=False,
            input_names=["pixels"], output_names=[EMBEDDING, *module.names],
            dynamic_shapes={"pixels": {0: torch.export.Dim("photos", min=1, max=4096)}},
        )  # fmt: skip


def compare(module: PixelsToLogits, side: int, path: Path) -> dict[str, Any]:
    """How far ONNX Runtime's outputs are from torch's, on made-up pictures."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pictures = made_up(COMPARED, side)
    with torch.inference_mode():
        ours = [value.numpy() for value in module(torch.from_numpy(pictures))]
    theirs = session.run(None, {"pixels": pictures})
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


def made_up(count: int, side: int, seed: int = 0) -> np.ndarray:
    """uint8 (n, 3, side, side): smooth random fields of several scales, in colours, as photos are."""
    rng = np.random.default_rng(seed)
    total = torch.zeros(count, 3, side, side)
    for cells in (2, 4, 8, 16):
        coarse = torch.from_numpy(rng.normal(size=(count, 3, cells, cells)).astype(np.float32))
        total += nn.functional.interpolate(coarse, size=(side, side), mode="bicubic") * (2 / cells) ** 0.5
    return (128 + 64 * total).clamp(0, 255).to(torch.uint8).numpy()


def angles_degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angles (n,) between rows, right for tiny ones too: by their difference, not by a cosine near 1."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (np.float64(one), np.float64(other)))
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(one - other, axis=1) / 2, 0, 1)))


def _described(
    module: PixelsToLogits, side: int, geolocator: Geolocator, config: dict[str, Any], parity: dict[str, Any]
) -> dict[str, Any]:
    preprocessing = "the centre square, bicubic and antialiased, RGB; the graph normalises"
    told = {
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
        told["regression"] = [
            {"name": name, "mean": scales.mean[name], "std": scales.std[name]} for name in REGRESSIONS
        ]
    return told
