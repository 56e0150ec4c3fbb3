"""Floating-point operations of an encoder, from its shape alone (a multiplication and an addition count as two).

A layer of width w over t tokens takes 24 t w^2 for its matrices (4 of attention, 8 of the perceptron, each w^2) and
4 t^2 w for attention. For CLIP this gives what is counted elsewhere: B/32 8.8 GFLOP, L/14 at 336 pixels 382 GFLOP.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from homing.files import read_json
from homing.shipped import ROOT

FALLBACK = "clip_l14_336"  # the largest that has a row: what nothing is known of is rather over- than underestimated
TEXT_TOKENS = 77
LOCAL = (".", "/", "results/")


@dataclass(frozen=True)
class Shape:
    """Sides in pixels, widths in numbers; text_layers is 0 without a text model."""

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
        """One picture forward."""
        patches = (self.image_side // self.patch) ** 2
        stem = 6 * self.patch**2 * self.width * patches
        return (_layers(self.layers, self.width, patches + 1) + stem) / 1e9

    @property
    def caption_gflop(self) -> float:
        """One caption forward."""
        return _layers(self.text_layers, self.text_width, TEXT_TOKENS) / 1e9

    @property
    def encoder_gb(self) -> float:
        """Weights of the image encoder in fp32."""
        return 4 * (12 * self.layers * self.width**2 + 3 * self.patch**2 * self.width) / 1e9

    @property
    def gb(self) -> float:
        """Weights of image and text model in fp32."""
        text = 12 * self.text_layers * self.text_width**2 + self.vocabulary * self.text_width
        return self.encoder_gb + 4 * text / 1e9


def _layers(count: int, width: int, tokens: int) -> float:
    return count * (24 * tokens * width**2 + 4 * tokens**2 * width)


@cache
def _known() -> dict[str, Shape]:
    with (ROOT / "resources/encoders.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("encoder"): Shape(**{name: int(value) for name, value in row.items()}) for row in rows}


def shape_of(model: Mapping[str, Any]) -> Shape:
    """The shape of the encoder that the key `model` describes."""
    if model["source"]:
        name = model["source"].split("/")[0]
        return _known().get(name) or _unknown()
    if model["pretrained"]:
        folder = Path(model["pretrained"])
        local = model["pretrained"].startswith(LOCAL) and (folder / "config.json").is_file()
        return _of_folder(read_json(folder / "config.json")) if local else _unknown()
    names = ("image_side", "patch", "width", "layers", "text_width", "text_layers", "vocabulary")
    return Shape(**{name: model[name] for name in names})


def _unknown() -> Shape:
    fallback = _known()[FALLBACK]
    return Shape(**{**fallback.__dict__, "known": False})


def _of_folder(config: Mapping[str, Any]) -> Shape:
    """From a transformers config.json."""
    vision, text = config.get("vision_config", config), config.get("text_config", {})
    if not {"image_size", "patch_size", "hidden_size", "num_hidden_layers"} <= set(vision):
        return _unknown()
    return Shape(
        vision["image_size"], vision["patch_size"], vision["hidden_size"], vision["num_hidden_layers"],
        text.get("hidden_size", 0), text.get("num_hidden_layers", 0), text.get("vocab_size", 0),
    )  # fmt: skip
