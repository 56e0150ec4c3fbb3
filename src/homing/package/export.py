"""A package handed on: as a package, in the Hugging Face layout, or as ONNX; whole, or telling less."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from homing.files import atomic_path, read_json, write_json
from homing.model.encoders import load_encoder
from homing.package.card import render
from homing.package.layout import ENCODER, Layout
from homing.package.limits import check_empty, leave_photos_out, limit_answers


@dataclass(frozen=True)
class Wish:
    """How much an export tells: with the training photos, and how fine its answers may be."""

    photos: bool = True
    answers: str = "exact"


@contextmanager
def prepared(source: str | Path, wish: Wish) -> Iterator[Layout]:
    """A copy of the package at `source`, a package or a run, that tells no more than wished; it goes with the block."""
    layout = Layout.of(source)
    layout.config()
    with TemporaryDirectory(prefix="homing-export-") as room:
        folder = Path(room) / "model"
        whole = wish.photos and wish.answers == "exact"
        ignored = shutil.ignore_patterns(*([] if whole else ["refine"]), "encoder", "README.md", ".*")
        shutil.copytree(layout.own, folder, ignore=ignored)
        if wish.answers != "exact":
            limit_answers(folder, wish.answers)
        elif not wish.photos:
            leave_photos_out(folder)
        _place_encoder(folder, inside=False)
        yield Layout(folder, layout.encoder)


def _place_encoder(folder: Path, inside: bool) -> None:
    """Say whether the encoder is in the package's own folder."""
    write_json(folder / "geolocator.json", read_json(folder / "geolocator.json") | {"encoder_included": inside})


def export_package(source: str | Path, folder: Path, wish: Wish) -> None:
    """Write a package of our own layout. Raises HomingError when `folder` exists."""
    check_empty(folder)
    with prepared(source, wish) as layout, atomic_path(folder) as partial:
        shutil.copytree(layout.own, partial)
        _copy_encoder(layout, partial / "encoder")
        _place_encoder(partial, inside=True)
        _write_card(layout, partial, "package")


def export_hugging_face(source: str | Path, folder: Path, wish: Wish) -> None:
    """Write the Hugging Face layout: the image encoder as transformers reads it, the rest in `homing/`, a model card.

    `homing.load` reads it too. Raises HomingError when `folder` exists.
    """
    check_empty(folder)
    with prepared(source, wish) as layout, atomic_path(folder) as partial:
        load_encoder(layout.encoder).save(partial)  # the image encoder alone, also of a model of images and text
        shutil.copytree(layout.own, partial / "homing")
        _write_card(layout, partial, "hf")


def _copy_encoder(layout: Layout, folder: Path) -> None:
    folder.mkdir()
    for name in ENCODER:
        shutil.copy2(layout.encoder / name, folder / name)


def _write_card(layout: Layout, folder: Path, kind: str) -> None:
    card = render(read_json(layout.own / "card.json"), read_json(layout.own / "config.json"), kind)
    (folder / "README.md").write_text(card, encoding="utf-8")
