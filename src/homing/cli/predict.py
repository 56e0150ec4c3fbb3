"""`homing predict`: photos in, places out, on the terminal and in files."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from homing.cli.output import place_name, writer_for
from homing.errors import HomingError
from homing.model.package import GeolocatorPackage, Place
from homing.photos.images import PhotoError, decode_image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif"}
BATCH = 256  # places decoded at a time


def predict(options: argparse.Namespace) -> int:
    """Answer every readable photo; the status is 1 when some could not be read."""
    if options.top < 1:
        raise HomingError(f"--top {options.top}: ask for at least one answer")
    writers = [writer_for(Path(path), Path(options.model)) for path in options.output]
    places = group(list(expand(options.photos)), options.views)
    package = GeolocatorPackage.load(options.model)
    answers: dict[Path, pd.DataFrame] = {}
    failed = 0
    for start in range(0, len(places), BATCH):
        images = read_places(places[start : start + BATCH])
        failed += len(places[start : start + BATCH]) - len(images)
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


def group(paths: list[Path], views: int) -> list[list[Path]]:
    """The files of each place: as many views of it, one after the other. Raises HomingError when one is short."""
    if views < 1 or len(paths) % views:
        raise HomingError(f"--views {views}: {len(paths)} photos are not {views} of each place")
    return [paths[start : start + views] for start in range(0, len(paths), views)]


def read_places(places: Iterable[list[Path]]) -> dict[Path, Place]:
    """By the first file of each place its image, or its views; what cannot be read is named on stderr and left out."""
    images = {}
    for place in places:
        views = []
        for path in place:
            try:
                views.append(decode_image(path.read_bytes()))
            except (PhotoError, OSError) as error:
                print(f"homing: {path}: {error}; left out", file=sys.stderr)
        if len(views) == len(place):
            images[place[0]] = views[0] if len(views) == 1 else views
    return images


def print_answers(path: Path, frame: pd.DataFrame) -> None:
    """The answers of one photo, a line each."""
    print(path)
    for _, answer in frame.iterrows():
        where = f"{answer['latitude']:8.3f} {answer['longitude']:9.3f}"
        print(f"  {answer['probability']:6.1%} {where}  {place_name(answer)}")
