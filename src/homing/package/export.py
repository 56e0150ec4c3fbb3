"""Export of a package, as a package or in the Hugging Face layout, whole or with less information."""

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
from homing.package.limits import check_absent, leave_photos_out, limit_answers


@dataclass(frozen=True)
class ExportOptions:
    """What an export contains. photos: True to keep the training photos; answers: the finest answers, of `ANSWERS`."""

    photos: bool = True
    answers: str = "exact"


@contextmanager
def prepared(source: str | Path, options: ExportOptions) -> Iterator[Layout]:
    """Yield a temporary copy of the package at `source` (a package or a run), reduced by the options.

    Its encoder is not copied. Raises HomingError if the source is no package, or cannot be exported with the options.
    """
    layout = Layout.of(source)
    layout.config()
    with TemporaryDirectory(prefix="homing-export-") as temporary:
        folder = Path(temporary) / "model"
        whole = options.photos and options.answers == "exact"
        ignored = shutil.ignore_patterns(*([] if whole else ["refine"]), "encoder", "README.md", ".*")
        shutil.copytree(layout.own, folder, ignore=ignored)
        if options.answers != "exact":
            limit_answers(folder, options.answers)
        elif not options.photos:
            leave_photos_out(folder)
        _set_encoder_included(folder, False)
        yield Layout(folder, layout.encoder)


def _set_encoder_included(folder: Path, included: bool) -> None:
    """Record whether the encoder is in the package's own folder."""
    write_json(folder / "geolocator.json", read_json(folder / "geolocator.json") | {"encoder_included": included})


def export_package(source: str | Path, folder: Path, options: ExportOptions) -> None:
    """Write a package. Raises HomingError if `folder` exists."""
    check_absent(folder)
    with prepared(source, options) as layout, atomic_path(folder) as partial:
        shutil.copytree(layout.own, partial)
        _copy_encoder(layout, partial / "encoder")
        _set_encoder_included(partial, True)
        _write_card(layout, partial, "package")


def export_hugging_face(source: str | Path, folder: Path, options: ExportOptions) -> None:
    """Write the Hugging Face layout: the image encoder as transformers reads it, the rest in `homing/`, a model card.

    `homing.load` reads it too. Raises HomingError if `folder` exists.
    """
    check_absent(folder)
    with prepared(source, options) as layout, atomic_path(folder) as partial:
        load_encoder(layout.encoder).save(partial)  # the image encoder only, also of a model of images and text
        shutil.copytree(layout.own, partial / "homing")
        _write_card(layout, partial, "hf")


def _copy_encoder(layout: Layout, folder: Path) -> None:
    folder.mkdir()
    for name in ENCODER:
        shutil.copy2(layout.encoder / name, folder / name)


def _write_card(layout: Layout, folder: Path, kind: str) -> None:
    card = render(read_json(layout.own / "card.json"), read_json(layout.own / "config.json"), kind)
    (folder / "README.md").write_text(card, encoding="utf-8")
