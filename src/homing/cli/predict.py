"""`homing predict`: photos in, places out, on the terminal and in files."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from PIL import Image

from homing.cli.output import place_name, writer_for
from homing.errors import HomingError
from homing.model.package import GeolocatorPackage
from homing.photos.images import PhotoError, decode_image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif"}
BATCH = 256  # photos decoded at a time


def predict(options: argparse.Namespace) -> int:
    """Answer every readable photo; the status is 1 when some could not be read."""
    if options.top < 1:
        raise HomingError(f"--top {options.top}: ask for at least one answer")
    writers = [writer_for(Path(path), Path(options.model)) for path in options.output]
    paths = list(expand(options.photos))
    package = GeolocatorPackage.load(options.model)
    answers: dict[Path, pd.DataFrame] = {}
    failed = 0
    for start in range(0, len(paths), BATCH):
        images = read_images(paths[start : start + BATCH])
        failed += len(paths[start : start + BATCH]) - len(images)
        if not images:
            continue
        if options.coarse:
            found = package.predict_coarse(list(images.values()), options.coarse, options.top)
        else:
            found = package.predict(list(images.values()), options.top, refined=not options.no_refine)
        for path, frame in zip(images, found, strict=True):
            answers[path] = frame
            print_answers(path, frame)
    if answers:
        for write in writers:
            write(answers)
    return 1 if failed else 0


def expand(names: Iterable[str]) -> Iterable[Path]:
    """Files as given, folders as the images in them. Raises HomingError for what does not exist."""
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
            if not inside:
                raise HomingError(f"{path}: no image in this folder ({', '.join(sorted(SUFFIXES))})")
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise HomingError(f"{path}: no such file or folder")


def read_images(paths: Iterable[Path]) -> dict[Path, Image.Image]:
    """The images that can be read; the others are named on stderr."""
    images = {}
    for path in paths:
        try:
            images[path] = decode_image(path.read_bytes())
        except (PhotoError, OSError) as error:
            print(f"homing: {path}: {error}; left out", file=sys.stderr)
    return images


def print_answers(path: Path, frame: pd.DataFrame) -> None:
    """The answers of one photo, a line each."""
    print(path)
    for _, answer in frame.iterrows():
        where = f"{answer['latitude']:8.3f} {answer['longitude']:9.3f}"
        print(f"  {answer['probability']:6.1%} {where}  {place_name(answer)}")
