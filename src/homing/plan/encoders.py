"""Floating-point operations of an encoder from its shape (a multiplication and an addition count as two).

A transformer layer of width w takes 24 t w^2 for its matrices on t tokens (4 w^2 weights in attention, 8 w^2 in the
perceptron) and 4 t^2 w for attention. For CLIP this is 8.8 GFLOP for B/32 and 382 GFLOP for L/14 at 336 pixels.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from homing.files import read_json
from homing.shipped import ROOT

FALLBACK = "clip_l14_336"  # the largest known encoder: an unknown one is overestimated rather than underestimated
TEXT_TOKENS = 77
LOCAL = (".", "/", "results/")  # how local paths begin; other names are on the hub
SIZES = ("image_side", "patch", "width", "layers", "text_width", "text_layers", "vocabulary")


@dataclass(frozen=True)
class Shape:
    """The shape of an encoder: sides in pixels, widths in channels; text_layers is 0 without a text encoder."""

    image_side: int
    patch: int
    width: int
    layers: int
    text_width: int = 0
    text_layers: int = 0
    vocabulary: int = 49_408
    known: bool = True

    @property
    def picture_gflop(self) -> float:
        """GFLOP of one image, forward pass."""
        patches = (self.image_side // self.patch) ** 2
        stem = 6 * self.patch**2 * self.width * patches
        return (_layers(self.layers, self.width, patches + 1) + stem) / 1e9

    @property
    def caption_gflop(self) -> float:
        """GFLOP of one caption, forward pass."""
        return _layers(self.text_layers, self.text_width, TEXT_TOKENS) / 1e9

    @property
    def encoder_gb(self) -> float:
        """GB of the weights of the image encoder in fp32."""
        return 4 * (12 * self.layers * self.width**2 + 3 * self.patch**2 * self.width) / 1e9

    @property
    def gb(self) -> float:
        """GB of the weights of image and text encoder in fp32."""
        text = 12 * self.text_layers * self.text_width**2 + self.vocabulary * self.text_width
        return self.encoder_gb + 4 * text / 1e9


def _layers(count: int, width: int, tokens: int) -> float:
    """Return the operations of `count` transformer layers."""
    return count * (24 * tokens * width**2 + 4 * tokens**2 * width)


@cache
def _known() -> dict[str, Shape]:
    """Return the shapes of resources/encoders.csv by name."""
    with (ROOT / "resources/encoders.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["encoder"]: _of_row(row) for row in rows}


def shape_of(model: Mapping[str, Any]) -> Shape:
    """Return the shape of the encoder that the key `model` of the configuration describes."""
    if model["source"]:
        name = model["source"].split("/")[0]
        return _known().get(name) or _unknown()
    if model["pretrained"]:
        folder = Path(model["pretrained"])
        local = model["pretrained"].startswith(LOCAL) and (folder / "config.json").is_file()
        return _of_folder(read_json(folder / "config.json")) if local else _unknown()
    return _of_row(model)


def _of_row(row: Mapping[str, Any]) -> Shape:
    """Return the shape in a row of resources/encoders.csv, or in the key `model`, which has the same names."""
    side, patch, width, layers, text_width, text_layers, vocabulary = (int(row[name]) for name in SIZES)
    return Shape(side, patch, width, layers, text_width, text_layers, vocabulary)


def _unknown() -> Shape:
    return replace(_known()[FALLBACK], known=False)


def _of_folder(config: Mapping[str, Any]) -> Shape:
    """Return the shape in a config.json of transformers."""
    vision, text = config.get("vision_config", config), config.get("text_config", {})
    if not {"image_size", "patch_size", "hidden_size", "num_hidden_layers"} <= set(vision):
        return _unknown()
    return Shape(
        vision["image_size"], vision["patch_size"], vision["hidden_size"], vision["num_hidden_layers"],
        text.get("hidden_size", 0), text.get("num_hidden_layers", 0), text.get("vocab_size", 0),
    )  # fmt: skip
